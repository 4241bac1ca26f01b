// Command controlplane is the test bed's Kubernetes control plane in one binary.
//
// It behaves as the program whose name it is started under: kube-apiserver (with
// an embedded etcd beside it), kube-controller-manager, kube-scheduler, kubectl, or
// run-tied, which ends another program together with the test run.
// The names matter: Kubernetes clients derive their field manager from the name of
// the running binary, and driftd's tests compare with what a real cluster records.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// programs maps a program name to what runs under it; each returns the exit code.
var programs = map[string]func() int{
	"kube-apiserver":          runAPIServer,
	"kube-controller-manager": runControllerManager,
	"kube-scheduler":          runScheduler,
	"kubectl":                 runKubectl,
	"run-tied":                runTied,
}

func main() {
	name := filepath.Base(os.Args[0])
	if run, ok := programs[name]; ok {
		if name != "run-tied" { // which ends its own child first
			tieToParent()
		}
		os.Exit(run())
	}
	fmt.Fprintf(os.Stderr, "start this binary under one of its program names (it is %q):\n", name)
	for program := range programs {
		fmt.Fprintf(os.Stderr, "  %s\n", program)
	}
	os.Exit(64)
}
