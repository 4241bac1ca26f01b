local one = import 'lib/one.libsonnet';
local both = import 'both.libsonnet';
local here = import 'own.libsonnet';
[one.config('x', both + here), one.config('y', importstr 'note.txt')]
