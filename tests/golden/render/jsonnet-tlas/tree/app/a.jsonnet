function(name='none', count=1, on=false) { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: name }, data: { count: '' + (count + 1), on: std.toString(on) } }
