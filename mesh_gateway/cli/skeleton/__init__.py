"""The package that `plugins new` writes: a whole transport, over memory. Copied, never imported.

It may import what a plugin may: the contract, the wire, the event and the errors.
`mesh_example`, `Example` and `example` become the author's name; `.txt` is dropped from names of files.
"""
