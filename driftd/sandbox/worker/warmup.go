package main

import (
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// warmUp makes the engines read their built-in schemas before the first request. What fails
// here fails again, with an error, when it is needed.
func warmUp() {
	t, err := newTree("", map[string][]byte{
		"kustomization.yaml": []byte("resources: [object.yaml]\nnameSuffix: -warm\n"),
		"object.yaml":        []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: warm\n"),
	}, nil)
	if err != nil {
		return
	}
	var files filesys.FileSystem = newTreeFS(t, "")
	_, _ = krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, mountPoint)
}
