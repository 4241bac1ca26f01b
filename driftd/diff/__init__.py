"""Compare: desired and live objects in, every difference out. Pure: no input or output.

`compare.compare` is the entry. Reading order: `schema` (what a field is), `scalars` (when two
values are the same), `owners` (who wrote what), `defaults` (what the server fills in), `walk`
(the comparison), `classify` (how Git stands to an extra), `fields` (deepdiff makes the changes).
"""
