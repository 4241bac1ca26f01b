package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// breaking writes an answer as a rule wants it; without a rule it only counts.
type breaking struct {
	http.ResponseWriter
	request *http.Request
	rule    *rule
	asked   *asked
	log     *requestLog

	status int
	sent   int
	whole  bytes.Buffer // of a list that is falsified
	line   bytes.Buffer // the unfinished event of a watch that is falsified
	events int
	held   []byte // an event that comes after its successor
	first  []byte
	over   bool
}

var errOver = net.ErrClosed

// Unwrap lets http.ResponseController find the connection.
func (b *breaking) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// Flush sends what was written.
func (b *breaking) Flush() {
	if !b.buffered() && !b.over {
		b.ResponseWriter.(http.Flusher).Flush()
	}
}

// CloseNotify is asked for by the API server's wrappers.
func (b *breaking) CloseNotify() <-chan bool {
	return b.ResponseWriter.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // they need it
}

// Hijack hands the connection over.
func (b *breaking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return b.ResponseWriter.(http.Hijacker).Hijack()
}

func (b *breaking) buffered() bool {
	return b.rule != nil && b.rule.lies() && b.asked.Verb == "list"
}

// WriteHeader sends the head of the answer, unless the body is to be changed first.
func (b *breaking) WriteHeader(status int) {
	b.status = status
	b.log.answered(b.asked, status, 0, false)
	if b.buffered() {
		b.Header().Del("Content-Length")
		return
	}
	b.ResponseWriter.WriteHeader(status)
	if b.rule != nil && (b.rule.Silence != nil || b.rule.Cut != nil) {
		b.Flush()
	}
}

// Write sends a part of the body.
func (b *breaking) Write(data []byte) (int, error) {
	if b.over {
		return 0, errOver
	}
	if b.status == 0 {
		b.WriteHeader(http.StatusOK)
	}
	if b.buffered() {
		return b.whole.Write(data)
	}
	if b.rule != nil && b.rule.Events != "" && b.asked.Verb == "watch" {
		return len(data), b.split(data)
	}
	return len(data), b.send(data)
}

// finish ends the answer.
func (b *breaking) finish() {
	if b.buffered() && !b.over {
		body := b.rule.falsified(b.whole.Bytes())
		b.ResponseWriter.WriteHeader(max(b.status, http.StatusOK))
		_ = b.send(body)
	}
	b.log.answered(b.asked, 0, 0, true)
}

// send writes bytes as slowly and as far as the rule lets them come.
func (b *breaking) send(data []byte) error {
	limit, silent := -1, false
	if b.rule != nil {
		if b.rule.Cut != nil {
			limit = *b.rule.Cut
		}
		if b.rule.Silence != nil && (limit < 0 || *b.rule.Silence < limit) {
			limit, silent = *b.rule.Silence, true
		}
	}
	ends := limit >= 0 && b.sent+len(data) >= limit
	if ends {
		data = data[:max(limit-b.sent, 0)]
	}
	if err := b.pass(data); err != nil {
		return err
	}
	if !ends {
		return nil
	}
	b.Flush()
	b.over = true
	if silent {
		<-b.request.Context().Done()
	} else {
		b.hangUp()
	}
	return errOver
}

func (b *breaking) pass(data []byte) error {
	step := len(data)
	if b.rule != nil && b.rule.BytesPerSecond > 0 {
		step = 1
	}
	for len(data) > 0 {
		part := data[:min(step, len(data))]
		data = data[len(part):]
		written, err := b.ResponseWriter.Write(part)
		b.sent += written
		b.log.answered(b.asked, 0, written, false)
		if err != nil {
			return err
		}
		if b.rule != nil && b.rule.BytesPerSecond > 0 {
			b.Flush()
			select {
			case <-time.After(time.Duration(float64(time.Second) / b.rule.BytesPerSecond)):
			case <-b.request.Context().Done():
				return errOver
			}
		}
	}
	return nil
}

// hangUp ends the connection, as if the network had.
func (b *breaking) hangUp() {
	b.over = true
	b.log.answered(b.asked, 0, 0, true)
	connection, _ := b.request.Context().Value(connectionKey{}).(net.Conn)
	if secured, ok := connection.(*tls.Conn); ok {
		connection = secured.NetConn()
	}
	if plain, ok := connection.(*net.TCPConn); ok && b.rule != nil && b.rule.Reset {
		_ = plain.SetLinger(0)
	}
	if connection != nil {
		_ = connection.Close()
	}
}

// split gives whole events to `tell`.
func (b *breaking) split(data []byte) error {
	b.line.Write(data)
	for {
		end := bytes.IndexByte(b.line.Bytes(), '\n')
		if end < 0 {
			return nil
		}
		event := bytes.Clone(b.line.Next(end + 1))
		if err := b.tell(event); err != nil {
			return err
		}
	}
}

// tell passes one event on, or what the rule makes of it.
func (b *breaking) tell(event []byte) error {
	isBookmark := bytes.HasPrefix(event, []byte(`{"type":"BOOKMARK"`))
	if b.rule.Events == "nobookmarks" {
		if isBookmark {
			return nil
		}
		return b.send(event)
	}
	b.events++
	if b.first == nil {
		b.first = event
	}
	if b.events <= b.rule.After {
		return b.send(event)
	}
	switch b.rule.Events {
	case "expire":
		status := apierrors.NewResourceExpired("The resourceVersion for the provided watch is too old.").Status()
		status.Kind, status.APIVersion = "Status", "v1"
		text, err := json.Marshal(map[string]any{"type": "ERROR", "object": status})
		if err != nil {
			return err
		}
		return b.last(append(text, '\n'))
	case "nonsense":
		return b.last([]byte("<html>Bad Gateway</html>\n"))
	case "duplicate":
		return b.send(append(bytes.Clone(event), event...))
	case "replay":
		return b.send(append(bytes.Clone(event), b.first...))
	case "drop":
		if b.events == b.rule.After+1 {
			return nil
		}
	case "reorder":
		if b.held == nil {
			b.held = event
			return nil
		}
		swapped := append(event, b.held...)
		b.held = nil
		return b.send(swapped)
	}
	return b.send(event)
}

// last sends an event and ends the answer.
func (b *breaking) last(event []byte) error {
	if err := b.send(event); err != nil {
		return err
	}
	b.Flush()
	b.hangUp()
	return errOver
}

// falsified is a list as the rule tells it.
func (r *rule) falsified(body []byte) []byte {
	var list map[string]json.RawMessage
	var items []json.RawMessage
	if json.Unmarshal(body, &list) != nil || list["items"] == nil {
		return body
	}
	if json.Unmarshal(list["items"], &items) != nil {
		return body
	}
	if r.Duplicate != nil && *r.Duplicate < len(items) {
		items = append(items, items[*r.Duplicate])
	}
	if r.Omit != nil && *r.Omit < len(items) {
		items = append(items[:*r.Omit:*r.Omit], items[*r.Omit+1:]...)
	}
	if r.Reverse {
		for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
			items[i], items[j] = items[j], items[i]
		}
	}
	if r.Empty {
		items = []json.RawMessage{}
	}
	if r.ResourceVersion != "" {
		var metadata map[string]json.RawMessage
		if json.Unmarshal(list["metadata"], &metadata) == nil {
			metadata["resourceVersion"], _ = json.Marshal(r.ResourceVersion)
			list["metadata"], _ = json.Marshal(metadata)
		}
	}
	list["items"], _ = json.Marshal(items)
	text, err := json.Marshal(list)
	if err != nil {
		return body
	}
	return text
}
