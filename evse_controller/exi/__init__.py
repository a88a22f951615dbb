"""EXI 1.0: the coders' runtime (bits, errors) and, apart from it, the generator that writes the coders."""
