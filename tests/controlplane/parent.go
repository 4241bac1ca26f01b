package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

// parentVariable, when set, ties a program to the process that started it.
const parentVariable = "CONTROLPLANE_TIED_TO_STDIN"

// tieToParent ends this process when standard input closes, which the kernel does
// when the test run dies, however it dies: no cluster outlives its tests.
func tieToParent() {
	if os.Getenv(parentVariable) == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}

// runTied runs another program (a command line after our own name) for as long as
// standard input stays open.
func runTied() int {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: run-tied PROGRAM [ARGUMENT...]")
		return 64
	}
	command := exec.Command(os.Args[1], os.Args[2:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = command.Process.Kill()
	}()
	_ = command.Wait()
	return command.ProcessState.ExitCode()
}
