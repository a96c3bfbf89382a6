"""The type checker that runs in tests: jaxtyping's shapes, and an int is a float where one is meant."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
