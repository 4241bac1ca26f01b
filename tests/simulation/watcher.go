package main

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

const (
	// initialPage is how many objects the initial events of a watch read at once.
	initialPage = 500
	// farewell is how long before its end a watch sends a last bookmark, as the watch cache does.
	farewell = 2 * time.Second
)

// bookmarkEvery is the time between two bookmarks.
var bookmarkEvery = time.Minute

// Watch follows the changes below a key.
func (s *store) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	prefix, err := storage.PrepareKey("/", key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	asked, err := versioner.ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	made := &watcher{
		store: s, held: clusterOf(ctx), prefix: prefix, opts: opts, asked: int64(asked),
		context: running, cancel: cancel, result: make(chan watch.Event, 100),
	}
	made.epoch = made.held.epochNow()
	go made.run()
	return made, nil
}

// watcher is one watch.
type watcher struct {
	store   *store
	held    *cluster
	prefix  string
	opts    storage.ListOptions
	asked   int64
	epoch   int
	context context.Context
	cancel  context.CancelFunc
	result  chan watch.Event
	once    sync.Once
}

// Stop ends the watch.
func (w *watcher) Stop() { w.once.Do(w.cancel) }

// ResultChan gives the events.
func (w *watcher) ResultChan() <-chan watch.Event { return w.result }

func (w *watcher) run() {
	defer close(w.result)
	defer w.cancel()
	version, err := w.begin()
	if err == nil {
		err = w.follow(version)
	}
	var refusal apierrors.APIStatus
	if errors.As(err, &refusal) {
		status := refusal.Status()
		w.send(watch.Event{Type: watch.Error, Object: &status})
	}
}

// errEnded says that the watch ends without a word.
var errEnded = errors.New("ended")

func (w *watcher) send(event watch.Event) error {
	select {
	case w.result <- event:
		return nil
	case <-w.context.Done():
		return errEnded
	}
}

// begin sends the state if it is asked for, and returns the version that the watch goes on from.
func (w *watcher) begin() (int64, error) {
	wanted := w.opts.SendInitialEvents
	streamed := wanted != nil && *wanted
	if !streamed && (w.asked != 0 || wanted != nil) {
		if w.asked == 0 {
			return w.held.current(), nil
		}
		return w.asked, nil
	}
	now := w.held.current()
	if w.asked > now {
		return 0, storage.NewTooLargeResourceVersionError(uint64(w.asked), uint64(now), 1)
	}
	if !w.opts.Recursive {
		if one := w.held.read(w.prefix, now); one.data != nil {
			if err := w.added(one); err != nil {
				return 0, err
			}
		}
	} else if err := w.initial(now); err != nil {
		return 0, err
	}
	if !streamed || !w.opts.Predicate.AllowWatchBookmarks {
		return now, nil
	}
	return now, w.bookmark(now, true)
}

func (w *watcher) initial(now int64) error {
	for from := ""; ; {
		found, _ := w.held.page(w.prefix, from, now, initialPage)
		for _, one := range found {
			if err := w.added(one.state); err != nil {
				return err
			}
			from = one.key + "\x00"
		}
		if len(found) < initialPage {
			return nil
		}
	}
}

func (w *watcher) added(one state) error {
	object, err := w.store.decoded(one.data, one.version)
	if err != nil {
		return err
	}
	if matched, err := w.opts.Predicate.Matches(object); err != nil || !matched {
		return err
	}
	return w.send(watch.Event{Type: watch.Added, Object: object})
}

func (w *watcher) bookmark(version int64, initialEnd bool) error {
	object := w.store.newFunc()
	if err := versioner.UpdateObject(object, uint64(version)); err != nil {
		return err
	}
	if initialEnd {
		if err := storage.AnnotateInitialEventsEndBookmark(object); err != nil {
			return err
		}
	}
	return w.send(watch.Event{Type: watch.Bookmark, Object: object})
}

func (w *watcher) follow(version int64) error {
	ticks := time.NewTicker(bookmarkEvery)
	defer ticks.Stop()
	begun := int64(-1)
	var last <-chan time.Time
	if deadline, ok := w.context.Deadline(); ok {
		timer := time.NewTimer(time.Until(deadline) - farewell)
		defer timer.Stop()
		last = timer.C
	}
	for {
		changes, reached, more, epoch, err := w.held.since(w.prefix, version)
		if err != nil {
			return err
		}
		if epoch != w.epoch {
			return errEnded
		}
		for _, one := range changes {
			if err := w.tell(one); err != nil {
				return err
			}
		}
		version = reached
		if begun < 0 {
			begun = version
		}
		select {
		case <-more:
			continue
		case <-ticks.C:
		case <-last:
		case <-w.context.Done():
			return errEnded
		}
		// As the watch cache does: never a version that nothing has happened since.
		if w.opts.Predicate.AllowWatchBookmarks && version > begun {
			if err := w.bookmark(version, false); err != nil {
				return err
			}
		}
	}
}

// tell sends one change as the watcher's selection sees it.
func (w *watcher) tell(one change) error {
	now, err := w.matching(one.data, one.version)
	if err != nil {
		return err
	}
	// What an object was when it left the selection has the version of the change.
	previous := one.previous
	if now != nil && previous != nil && w.opts.Predicate.Empty() {
		return w.send(watch.Event{Type: watch.Modified, Object: now})
	}
	before, err := w.matching(previous, one.version)
	if err != nil {
		return err
	}
	switch {
	case now != nil && before != nil:
		return w.send(watch.Event{Type: watch.Modified, Object: now})
	case now != nil:
		return w.send(watch.Event{Type: watch.Added, Object: now})
	case before != nil:
		return w.send(watch.Event{Type: watch.Deleted, Object: before})
	}
	return nil
}

func (w *watcher) matching(data []byte, version int64) (runtime.Object, error) {
	if data == nil {
		return nil, nil
	}
	object, err := w.store.decoded(data, version)
	if err != nil {
		return nil, err
	}
	matched, err := w.opts.Predicate.Matches(object)
	if err != nil || !matched {
		return nil, err
	}
	return object, nil
}
