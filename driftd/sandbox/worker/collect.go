package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// pauseAfter is how long no request comes before garbage is collected ahead of its time.
	pauseAfter = 10 * time.Millisecond
	// pauseGarbage is how much must have been allocated for that: about half of what the collector
	// lets come together by itself, so that pauses make it work twice as often at most.
	pauseGarbage = ballastBytes
	// idleAfter is how long no request comes before memory is given back to the system.
	idleAfter = 3 * time.Second
)

// collector works while no request is there, so that few requests have the garbage of others
// collected beside them.
type collector struct {
	pause, idle *time.Timer
	// collected is how much had been allocated at the last collection in a pause.
	collected uint64
}

func newCollector() *collector {
	return &collector{
		pause: time.NewTimer(pauseAfter), idle: time.NewTimer(idleAfter), collected: allocatedBytes(),
	}
}

// answered begins to wait anew.
func (c *collector) answered() {
	c.pause.Reset(pauseAfter)
	c.idle.Reset(idleAfter)
}

// paused collects beside a request that comes meanwhile, as the collector does by itself.
func (c *collector) paused() {
	if now := allocatedBytes(); now-c.collected >= pauseGarbage {
		c.collected = now
		go runtime.GC()
	}
}

// idled collects, and gives memory back: a worker waits most of its life.
func (c *collector) idled() {
	debug.FreeOSMemory()
	c.collected = allocatedBytes()
}

// allocatedBytes is how much was ever allocated.
func allocatedBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
