"""The whole way, from a movie to a folder of results: `run` on any movie, `demo` on a simulated one with its truth."""
