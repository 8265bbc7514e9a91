"""An Application's parameters: kinds, values in the spec, and the record of the originals."""
