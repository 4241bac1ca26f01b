package main

import "bytes"

// quoted reads text in quotes within the line, and answers with the place after it.
func (r *plainReader) quoted(at, end int) (text []byte, after int, ok bool) {
	quote := r.text[at]
	at++
	start := at
	for ; at < end; at++ {
		switch char := r.text[at]; {
		case char == '\\' && quote == '"':
			return r.escaped(start, at, end)
		case char != quote:
		case quote == '\'' && at+1 < end && r.text[at+1] == '\'':
			return nil, 0, false
		default:
			return r.text[start:at], at + 1, true
		}
	}
	return nil, 0, false
}

// plainEscapes are what a backslash in double quotes makes of a character.
var plainEscapes = map[byte]byte{'"': '"', '\\': '\\', 'n': '\n', 't': '\t'}

// escaped goes on with text in double quotes that has a backslash.
func (r *plainReader) escaped(start, at, end int) (text []byte, after int, ok bool) {
	text = bytes.Clone(r.text[start:at])
	for ; at < end; at++ {
		switch char := r.text[at]; char {
		case '"':
			return text, at + 1, true
		case '\\':
			if at++; at == end {
				return nil, 0, false
			}
			meant, isKnown := plainEscapes[r.text[at]]
			if !isKnown {
				return nil, 0, false
			}
			text = append(text, meant)
		default:
			text = append(text, char)
		}
	}
	return nil, 0, false
}

// literal reads the lines below "|" or "|-".
func (r *plainReader) literal(at, indent int) (int32, bool) {
	header := string(r.text[at:r.end])
	if header != "|" && header != "|-" {
		return 0, false
	}
	var content []byte
	column, blank, broken := -1, 0, false
	for r.next < len(r.text) {
		start, end := r.next, len(r.text)
		terminated := false
		if found := bytes.IndexByte(r.text[start:], '\n'); found >= 0 {
			end, terminated = start+found, true
		}
		first := r.skip(start, end)
		if first == end && (column < 0 || end-start <= column) {
			if column < 0 && first > start || !terminated {
				return 0, false
			}
			blank++
			r.next = end + 1
			continue
		}
		if column < 0 {
			column = first - start
			if column <= indent {
				return 0, false
			}
		}
		if first-start < column {
			break
		}
		if broken {
			content = append(content, '\n')
		}
		for ; blank > 0; blank-- {
			content = append(content, '\n')
		}
		content = append(content, r.text[start+column:end]...)
		broken = terminated
		r.next = min(end+1, len(r.text))
	}
	if column < 0 {
		return 0, false
	}
	if broken && header == "|" {
		content = append(content, '\n')
	}
	node := r.add(plainNode{kind: textNode, text: content})
	return node, !r.advance() || r.indent <= indent
}

// scalar reads the rest of the line as a plain scalar.
func (r *plainReader) scalar(at int) (int32, bool) {
	text := r.text[at:r.end]
	if found := bytes.Index(text, []byte(" #")); found >= 0 {
		text = bytes.TrimRight(text[:found], " ")
	}
	if text[len(text)-1] == ':' || bytes.Contains(text, []byte(": ")) {
		return 0, false
	}
	return r.resolved(text)
}

// resolved is what a plain scalar means: text, a whole number of decimal digits, or one of the
// words for which there is one reading.
func (r *plainReader) resolved(text []byte) (int32, bool) {
	switch first := text[0]; {
	case isLetter(first):
		if !isWord(text) {
			return r.add(plainNode{kind: textNode, text: text}), true
		}
		for _, word := range [][]byte{rawNull, rawTrue, rawFalse} {
			if bytes.Equal(text, word) {
				return r.add(plainNode{kind: rawNode, text: word}), true
			}
		}
		return 0, false
	case first == '_', first == '/', first == '$', first == '(':
		return r.add(plainNode{kind: textNode, text: text}), true
	case isDigit(first), first == '-':
		return r.number(text)
	}
	return 0, false
}

// number reads a scalar that begins as a number does.
func (r *plainReader) number(text []byte) (int32, bool) {
	digits := bytes.TrimPrefix(text, []byte("-"))
	if len(digits) == 0 || digits[0] == '.' || digits[0] == ' ' {
		return 0, false
	}
	count, dots, isText := 0, 0, false
	for _, char := range digits {
		switch {
		case isDigit(char):
			count++
		case char == '.':
			dots++
		default:
			isText = isText || neverInNumbers(char)
		}
	}
	switch {
	case isText, count == 0, count+dots == len(text) && dots > 1:
		return r.add(plainNode{kind: textNode, text: text}), true
	case count == len(digits) && count <= 18 && (digits[0] != '0' || len(text) == 1):
		return r.add(plainNode{kind: rawNode, text: text}), true
	}
	return 0, false
}

// neverInNumbers says whether a letter stands in no number and no date, in whatever notation.
func neverInNumbers(char byte) bool {
	lower := char | ' '
	return isLetter(char) && (lower >= 'g' && lower <= 'n' || lower >= 'p' && lower <= 's' || lower >= 'u' && lower <= 'w' || lower == 'y')
}
