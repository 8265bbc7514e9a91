"""An Application's parameters: where a value goes in the spec, and the record of what was there."""
