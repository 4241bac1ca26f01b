[{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: p }, data: { rev: std.extVar('revision') } } for p in std.extVar('parts')]
