package main

import (
	"bytes"
	"context"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
)

// versioner reads and writes resource versions as etcd's storage does.
var versioner = storage.APIObjectVersioner{}

const (
	listExpired     = "The resourceVersion for the provided list is too old."
	continueExpired = "The provided continue parameter is too old " +
		"to display a consistent list result. You can start a new list without " +
		"the continue parameter, or use the continue token in this response to " +
		"retrieve the remainder of the results. Continuing with the provided " +
		"token results in an inconsistent list - objects that were created, " +
		"modified, or deleted between the time the first chunk was returned " +
		"and now may show up in the list."
)

// store is the storage of one kind, for all clusters.
type store struct {
	codec    runtime.Codec
	prefix   string
	newFunc  func() runtime.Object
	resource schema.GroupResource
}

var _ storage.Interface = (*store)(nil)

func (s *store) Versioner() storage.Versioner { return versioner }

func (s *store) decode(data []byte, version int64, into runtime.Object) error {
	if _, _, err := s.codec.Decode(data, nil, into); err != nil {
		return err
	}
	return versioner.UpdateObject(into, uint64(version))
}

func (s *store) decoded(data []byte, version int64) (runtime.Object, error) {
	object := s.newFunc()
	return object, s.decode(data, version, object)
}

func (s *store) encode(object runtime.Object) ([]byte, error) {
	if err := versioner.PrepareObjectForStorage(object); err != nil {
		return nil, err
	}
	return runtime.Encode(s.codec, object)
}

// Create stores an object that does not exist yet.
func (s *store) Create(ctx context.Context, key string, obj, out runtime.Object, _ uint64) error {
	data, err := s.encode(obj)
	if err != nil {
		return err
	}
	version, done := clusterOf(ctx).write(key, data, 0)
	if !done {
		return storage.NewKeyExistsError(key, 0)
	}
	if out == nil {
		return nil
	}
	return s.decode(data, version, out)
}

// Delete removes an object; `out` becomes what it was, with the version of its deletion.
func (s *store) Delete(
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions,
) error {
	held := clusterOf(ctx)
	for {
		before := held.read(key, 0)
		if before.data == nil {
			return storage.NewKeyNotFoundError(key, 0)
		}
		object, err := s.decoded(before.data, before.version)
		if err != nil {
			return err
		}
		if preconditions != nil {
			if err := preconditions.Check(key, object); err != nil {
				return err
			}
		}
		if err := validate(ctx, object); err != nil {
			return err
		}
		if version, done := held.write(key, nil, before.version); done {
			return s.decode(before.data, version, out)
		}
	}
}

// Get reads one object.
func (s *store) Get(ctx context.Context, key string, opts storage.GetOptions, into runtime.Object) error {
	held := clusterOf(ctx)
	if err := s.notOlder(held, opts.ResourceVersion); err != nil {
		return err
	}
	found := held.read(key, 0)
	if found.data == nil {
		if opts.IgnoreNotFound {
			return runtime.SetZeroValue(into)
		}
		return storage.NewKeyNotFoundError(key, 0)
	}
	return s.decode(found.data, found.version, into)
}

// notOlder refuses a version that has not been reached yet.
func (s *store) notOlder(held *cluster, version string) error {
	asked, err := versioner.ParseResourceVersion(version)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	if now := uint64(held.current()); asked > now {
		return storage.NewTooLargeResourceVersionError(asked, now, 1)
	}
	return nil
}

// GetList reads the objects below a key, or one of them.
func (s *store) GetList(
	ctx context.Context, key string, opts storage.ListOptions, list runtime.Object,
) error {
	prefix, err := storage.PrepareKey("/", key, opts.Recursive)
	if err != nil {
		return err
	}
	at, from, err := storage.ValidateListOptions(prefix, versioner, opts)
	if err != nil {
		return err
	}
	held := clusterOf(ctx)
	if opts.ResourceVersionMatch == metav1.ResourceVersionMatchNotOlderThan || at == 0 {
		if err := s.notOlder(held, opts.ResourceVersion); err != nil {
			return err
		}
	}
	now := held.current()
	switch {
	case at == 0:
		at = now
	case at > now:
		return storage.NewTooLargeResourceVersionError(uint64(at), uint64(now), 0)
	case at < held.oldest():
		return s.expired(prefix, from)
	}
	items, err := meta.GetItemsPtr(list)
	if err != nil {
		return err
	}
	slice, err := conversion.EnforcePtr(items)
	if err != nil {
		return err
	}
	slice.Set(reflect.MakeSlice(slice.Type(), 0, 0))
	if !opts.Recursive {
		if one := held.read(prefix, at); one.data != nil {
			if _, err := s.add(slice, one, opts.Predicate); err != nil {
				return err
			}
		}
		return versioner.UpdateList(list, uint64(at), "", nil)
	}
	limit := opts.Predicate.Limit
	if opts.ResourceVersion == "0" && opts.Predicate.Continue == "" {
		limit = 0 // as the watch cache answers
	}
	last, total, more, err := s.fill(slice, held, prefix, from, at, int(limit), opts.Predicate)
	if err != nil {
		return err
	}
	token, remaining, err := storage.PrepareContinueToken(last, prefix, at, total, more, opts)
	if err != nil {
		return err
	}
	return versioner.UpdateList(list, uint64(at), token, remaining)
}

func (s *store) expired(prefix, from string) error {
	if from == "" {
		return apierrors.NewResourceExpired(listExpired)
	}
	token, err := storage.EncodeContinue(from, prefix, -1)
	if err != nil {
		return err
	}
	refusal := apierrors.NewResourceExpired(continueExpired)
	refusal.ErrStatus.ListMeta.Continue = token
	return refusal
}

// fill adds objects to a list until the limit (0: none) is reached.
//
// It returns the last key, how many objects there are from `from` on, and whether some of them
// have not been looked at.
func (s *store) fill(
	slice reflect.Value, held *cluster, prefix, from string, at int64, limit int,
	predicate storage.SelectionPredicate,
) (last string, total int64, more bool, err error) {
	for first := true; ; first = false {
		found, left := held.page(prefix, from, at, limit)
		if first {
			total = left
		}
		for i, one := range found {
			if limit > 0 && slice.Len() == limit {
				return last, total, true, nil
			}
			last = one.key
			if _, err := s.add(slice, one.state, predicate); err != nil {
				return "", 0, false, err
			}
			left--
			if limit > 0 && slice.Len() == limit {
				return last, total, i+1 < len(found) || left > 0, nil
			}
		}
		if limit == 0 || left <= 0 || len(found) == 0 {
			return last, total, false, nil
		}
		from = last + "\x00"
	}
}

func (s *store) add(slice reflect.Value, one state, predicate storage.SelectionPredicate) (bool, error) {
	object, err := s.decoded(one.data, one.version)
	if err != nil {
		return false, err
	}
	matched, err := predicate.Matches(object)
	if err == nil && matched {
		slice.Set(reflect.Append(slice, reflect.ValueOf(object).Elem()))
	}
	return matched, err
}

// GuaranteedUpdate changes an object, again whenever somebody else was faster.
func (s *store) GuaranteedUpdate(
	ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, _ runtime.Object,
) error {
	held := clusterOf(ctx)
	for {
		before := held.read(key, 0)
		object := s.newFunc()
		if before.data == nil {
			if !ignoreNotFound {
				return storage.NewKeyNotFoundError(key, 0)
			}
			before.version = 0
		} else if err := s.decode(before.data, before.version, object); err != nil {
			return err
		}
		if preconditions != nil {
			if err := preconditions.Check(key, object); err != nil {
				return err
			}
		}
		updated, _, err := tryUpdate(object, storage.ResponseMeta{ResourceVersion: uint64(before.version)})
		if err != nil {
			return err
		}
		data, err := s.encode(updated)
		if err != nil {
			return err
		}
		if before.data != nil && bytes.Equal(data, before.data) {
			return s.decode(data, before.version, destination)
		}
		if version, done := held.write(key, data, before.version); done {
			return s.decode(data, version, destination)
		}
	}
}

// Stats is not asked for by anything that is tested.
func (s *store) Stats(ctx context.Context) (storage.Stats, error) {
	_, total := clusterOf(ctx).page(s.prefix+"/", "", 0, 1)
	return storage.Stats{ObjectCount: total}, nil
}

// ReadinessCheck says that the storage is always ready.
func (s *store) ReadinessCheck() error { return nil }

// RequestWatchProgress has nothing to do: watches read the storage itself.
func (s *store) RequestWatchProgress(context.Context) error { return nil }

// GetCurrentResourceVersion is the version of the cluster's last write.
func (s *store) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	return uint64(clusterOf(ctx).current()), nil
}

// EnableResourceSizeEstimation has nothing to estimate.
func (s *store) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }

// CompactRevision is unknown without a cluster.
func (s *store) CompactRevision() int64 { return 0 }
