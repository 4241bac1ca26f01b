package main

// Limits on what Git content may cost. The daemon's own limits (wall clock, resident memory)
// come on top; these give an error that names the file.
const (
	maxFrame       = 400 << 20
	maxTreeBytes   = 100 << 20
	maxTreeFiles   = 20_000
	maxHeldBytes   = 200 << 20
	maxHeldTrees   = 32
	maxKnownBytes  = 8 << 20
	maxAppBytes    = 10 << 20
	maxObjectBytes = 1_572_864
	maxObjects     = 10_000
	maxDepth       = 100
	maxAliases     = 100
	maxLinks       = 40
	maxErrors      = 100
)
