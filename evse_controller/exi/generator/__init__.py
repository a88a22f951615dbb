"""The generator: schema -> model (xsd) -> grammar -> normal form -> emitters; the only user of lxml."""
