package main

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// change is one write, as a watch tells it. Without data it is a deletion.
type change struct {
	version  int64
	key      string
	data     []byte
	previous []byte
}

// state is what a key held from a version on; without data it is deleted.
type state struct {
	version int64
	data    []byte
}

// cluster holds what was written to one simulated cluster since it was generated.
//
// Its versions count the writes of all kinds, as etcd's revisions do.
type cluster struct {
	name      string
	server    string
	generator *generator
	capacity  int

	mu        sync.Mutex
	version   int64
	compacted int64
	written   map[string]map[string][]state // by kind and key, oldest first
	extra     map[string][]string           // by kind: sorted keys that are not generated
	log       []change
	changed   chan struct{}
	epoch     int   // raised when watches have to end
	ticks     int64 // reports of controllers until now
	reported  map[string]int64
}

func newCluster(name string, generated *generator, capacity int) *cluster {
	return &cluster{
		name: name, generator: generated, capacity: capacity,
		version: generated.last(), compacted: 0,
		written: map[string]map[string][]state{}, extra: map[string][]string{},
		changed: make(chan struct{}), reported: map[string]int64{},
	}
}

// kindOf is the first part of a key: "/deployments.apps".
func kindOf(key string) string {
	if end := strings.IndexByte(key[1:], '/'); end >= 0 {
		return key[:end+1]
	}
	return key
}

// current is the version of the last write.
func (c *cluster) current() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// read is what a key held at a version (0: now); without data it did not exist.
func (c *cluster) read(key string, at int64) state {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readLocked(key, at)
}

func (c *cluster) readLocked(key string, at int64) state {
	history := c.written[kindOf(key)][key]
	for i := len(history) - 1; i >= 0; i-- {
		if at == 0 || history[i].version <= at {
			return history[i]
		}
	}
	return c.generator.object(key)
}

// write stores data under a key if its version still is `expected` (0: it does not exist).
//
// It returns the version of the write and whether it was made.
func (c *cluster) write(key string, data []byte, expected int64) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.readLocked(key, 0)
	if before.data == nil {
		before.version = 0
	}
	if before.version != expected {
		return 0, false
	}
	c.version++
	kind := kindOf(key)
	if c.written[kind] == nil {
		c.written[kind] = map[string][]state{}
	}
	if len(c.written[kind][key]) == 0 && !c.generator.has(key) {
		c.extra[kind] = inserted(c.extra[kind], key)
	}
	c.written[kind][key] = append(c.written[kind][key], state{c.version, data})
	c.log = append(c.log, change{c.version, key, data, before.data})
	if len(c.log) > c.capacity+c.capacity/4 {
		c.compactLocked(c.log[len(c.log)-c.capacity-1].version)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return c.version, true
}

func inserted(keys []string, key string) []string {
	at := sort.SearchStrings(keys, key)
	if at < len(keys) && keys[at] == key {
		return keys
	}
	keys = append(keys, "")
	copy(keys[at+1:], keys[at:])
	keys[at] = key
	return keys
}

// compact forgets everything before a version (0: before now).
func (c *cluster) compact(at int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at == 0 {
		at = c.version
	}
	c.compactLocked(at)
	return c.compacted
}

func (c *cluster) compactLocked(at int64) {
	if at <= c.compacted {
		return
	}
	c.compacted = at
	first := sort.Search(len(c.log), func(i int) bool { return c.log[i].version > at })
	for _, gone := range c.log[:first] {
		kind := kindOf(gone.key)
		history := c.written[kind][gone.key]
		for len(history) > 1 && history[1].version <= at {
			history = history[1:]
		}
		if len(history) == 0 {
			continue
		}
		if len(history) == 1 && history[0].data == nil && !c.generator.has(gone.key) {
			delete(c.written[kind], gone.key)
			c.extra[kind] = removed(c.extra[kind], gone.key)
			continue
		}
		c.written[kind][gone.key] = history
	}
	c.log = append([]change(nil), c.log[first:]...)
}

func removed(keys []string, key string) []string {
	at := sort.SearchStrings(keys, key)
	if at < len(keys) && keys[at] == key {
		return append(keys[:at:at], keys[at+1:]...)
	}
	return keys
}

// restore brings back the state at a version, as a backup of etcd would: the counter goes
// back too, and every watch ends.
func (c *cluster) restore(at int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at < c.compacted || at > c.version {
		return fmt.Errorf("%s cannot be restored to %d: it knows %d to %d", c.name, at, c.compacted, c.version)
	}
	first := sort.Search(len(c.log), func(i int) bool { return c.log[i].version > at })
	for _, undone := range c.log[first:] {
		kind := kindOf(undone.key)
		history := c.written[kind][undone.key]
		for len(history) > 0 && history[len(history)-1].version > at {
			history = history[:len(history)-1]
		}
		if len(history) == 0 {
			delete(c.written[kind], undone.key)
			c.extra[kind] = removed(c.extra[kind], undone.key)
			continue
		}
		c.written[kind][undone.key] = history
	}
	c.log = append([]change(nil), c.log[:first]...)
	c.version = at
	c.endLocked()
	return nil
}

// end ends every watch.
func (c *cluster) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked()
}

func (c *cluster) endLocked() {
	c.epoch++
	close(c.changed)
	c.changed = make(chan struct{})
}

// entry is one object of a list.
type entry struct {
	key string
	state
}

// page is the objects below a prefix from a key on, at a version; limit 0 means all of them.
//
// `total` counts all from that key on.
func (c *cluster) page(prefix, from string, at int64, limit int) (found []entry, total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := kindOf(prefix)
	if from < prefix {
		from = prefix
	}
	made, extra := c.generator.keys(prefix, from), c.extra[kind]
	next := sort.SearchStrings(extra, from)
	position := made.begin
	for limit == 0 || len(found) < limit {
		var key string
		generated := position < made.end
		if generated {
			key = made.key(position)
		}
		if next < len(extra) && strings.HasPrefix(extra[next], prefix) && (!generated || extra[next] < key) {
			key = extra[next]
			next++
		} else if generated {
			position++
		} else {
			break
		}
		if held := c.readLocked(key, at); held.data != nil {
			found = append(found, entry{key, held})
		}
	}
	total = int64(made.end - made.begin)
	for key := range c.written[kind] {
		if !strings.HasPrefix(key, prefix) || key < from {
			continue
		}
		alive := c.readLocked(key, at).data != nil
		switch generated := c.generator.has(key); {
		case alive && !generated:
			total++
		case !alive && generated:
			total--
		}
	}
	return found, total
}

// since is the changes below a prefix after a version, the version up to which they reach, and
// what to wait for to see more. The error says that they are forgotten.
func (c *cluster) since(prefix string, version int64) ([]change, int64, <-chan struct{}, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version < c.compacted {
		return nil, 0, nil, c.epoch, apierrors.NewResourceExpired(
			fmt.Sprintf("too old resource version: %d (%d)", version, c.compacted),
		)
	}
	first := sort.Search(len(c.log), func(i int) bool { return c.log[i].version > version })
	var found []change
	for _, one := range c.log[first:] {
		if strings.HasPrefix(one.key, prefix) {
			found = append(found, one)
		}
	}
	return found, max(version, c.version), c.changed, c.epoch, nil
}

// oldest is the oldest version that can still be read.
func (c *cluster) oldest() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compacted
}

func (c *cluster) epochNow() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// report stores what a controller says of a generated object anew. An object that somebody has
// changed stays as it is. It returns the cluster's version.
func (c *cluster) report(key string) int64 {
	c.mu.Lock()
	before := c.readLocked(key, 0)
	last := c.generator.ticked(key, c.reported[key]).data
	c.ticks++
	ticks := c.ticks
	c.mu.Unlock()
	if bytes.Equal(before.data, last) {
		if _, done := c.write(key, c.generator.ticked(key, ticks).data, before.version); done {
			c.mu.Lock()
			c.reported[key] = ticks
			c.mu.Unlock()
		}
	}
	return c.current()
}
