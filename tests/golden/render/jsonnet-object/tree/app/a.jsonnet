local name = 'one';
{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: name }, data: { n: std.toString(1 / 4), file: 'x' + 'y' } }
