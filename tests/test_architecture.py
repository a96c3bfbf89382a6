"""The shape of the code: imports go one way, files stay small, and nothing loads JAX before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rvaejax

ROOT = Path(rvaejax.__file__).parent
LONGEST = 260  # lines
LAYERS = (
    {"errors", "types", "config", "progress"},
    {"io", "structure"},
    {"simulate", "nets"},
    {"training"},
    {"segmentation", "atoms", "rvae"},
    {"analysis", "baselines"},
    {"plotting", "report"},
    {"pipeline"},
    {"run_commands", "model_commands"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
WITHIN_A_LAYER = {("config", "errors"), ("report", "plotting")}
FILES = sorted(ROOT.rglob("*.py"))


def _name(file):
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _part(module):
    """The package or module right under `rvaejax`."""
    return module.split(".")[1] if "." in module else ""


def _imports(file, *, top_level=False):
    """Absolute names of what a file imports; `top_level`: only what runs when the file is imported."""
    found = set()
    nodes = [ast.parse(file.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif top_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        nodes += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("file", [f for f in FILES if f.parent != ROOT or f.stem != "__init__"], ids=_name)
def test_imports_go_one_way(file):
    mine = _part(_name(file))
    for imported in sorted(name for name in _imports(file) if name.startswith("rvaejax.")):
        other = _part(imported)
        assert other in RANK, f"{other} has no layer: give it one"
        if other != mine and (mine, other) not in WITHIN_A_LAYER:
            assert RANK[other] < RANK[mine], f"{_name(file)} imports {imported}"


def test_every_part_has_a_layer():
    parts = {f.relative_to(ROOT).parts[0].removesuffix(".py") for f in FILES} - {"__init__"}
    assert parts == set(RANK)


def test_networks_are_the_only_importers_of_flax():
    importers = {_part(_name(file)) for file in FILES if any(n.split(".")[0] == "flax" for n in _imports(file))}
    assert importers == {"nets"}


def test_the_training_loop_knows_no_model():
    for file in (ROOT / "training").glob("*.py"):
        assert {_part(n) for n in _imports(file) if n.startswith("rvaejax.")} <= {"errors", "training", "progress"}


@pytest.mark.process
def test_neither_the_package_nor_its_command_line_nor_a_config_loads_jax():
    configs = [_name(file) for file in FILES if file.stem == "config"]
    assert len(configs) >= 7
    modules = ["rvaejax", "rvaejax.cli", "rvaejax.types", "rvaejax.rvae.record", *configs]
    code = f"import importlib, sys\nfor m in {modules}:\n    importlib.import_module(m)\n"
    code += (
        "    bad = {'jax', 'jaxlib', 'flax', 'optax', 'matplotlib'} & set(sys.modules)\n    assert not bad, (m, bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_configs_do_not_import_jax_themselves():
    for file in FILES:
        if file.stem == "config" or file in [
            ROOT / f"{name}.py" for name in ("__init__", "commands", "run_commands", "cli")
        ]:
            assert not {n for n in _imports(file, top_level=True) if n.split(".")[0] in ("jax", "flax", "optax")}, file


def test_every_promised_name_is_there():
    for name in rvaejax.__all__:
        assert getattr(rvaejax, name) is not None
    assert set(dir(rvaejax)) >= {"read_movie", "segment", "find_atoms", "cut_subimages", "train", "encode"}
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        rvaejax.trian  # noqa: B018


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_files_are_small_and_say_what_they_are(file):
    text = file.read_text()
    assert len(text.splitlines()) <= LONGEST
    tree = ast.parse(text)
    if not any(part.startswith("_") for part in _name(file).split(".")):
        assert ast.get_docstring(tree), "a public module needs a docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} needs a docstring"


def test_random_keys_have_no_default_and_options_come_in_no_bags():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                args = node.args
                positional = [*args.posonlyargs, *args.args]
                with_default = positional[len(positional) - len(args.defaults) :]
                with_default += [a for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None]
                assert "key" not in {arg.arg for arg in with_default}, f"{file}: {node.name}"
                if args.kwarg is not None:  # named arrays for a file are no options
                    assert args.kwarg.arg == "arrays" or node.name.startswith("_"), f"{file}: {node.name} takes a bag"
