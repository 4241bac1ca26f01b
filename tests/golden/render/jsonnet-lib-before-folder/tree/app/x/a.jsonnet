local v = import 'v.libsonnet';
{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { v: v } }
