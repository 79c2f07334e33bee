// Checks a proof with the packages of Go's own checksum database, which know nothing of Countersign:
// golang.org/x/mod/sumdb/note (signed notes) and golang.org/x/mod/sumdb/tlog (RFC 6962 trees).
//
//	GOPATH=/usr/share/gocode GO111MODULE=off go run third_party.go PROOF VERIFIER-KEY
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type line struct {
	Checkpoint  string   `json:"checkpoint"`
	Earlier     string   `json:"earlier"`
	Consistency []string `json:"consistency"`
	Entry       *string  `json:"entry"`
	Inclusion   []string `json:"inclusion"`
	Index       int64    `json:"index"`
}

func fail(why ...any) {
	fmt.Println(why...)
	os.Exit(1)
}

func hashes(texts []string) (found []tlog.Hash) {
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			fail(err)
		}
		found = append(found, hash)
	}
	return found
}

// A C2SP checkpoint: origin, size and root, each on a line of its own.
func opened(signed string, verifier note.Verifier) tlog.Tree {
	found, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		fail(err)
	}
	lines := strings.Split(found.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		fail(err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		fail(err)
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree
}

func main() {
	verifier, err := note.NewVerifier(os.Args[2])
	if err != nil {
		fail(err)
	}
	file, err := os.Open(os.Args[1])
	if err != nil {
		fail(err)
	}
	var tree tlog.Tree
	entries, grown := 0, false
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var read line
		if err := json.Unmarshal(lines.Bytes(), &read); err != nil {
			fail(err)
		}
		switch {
		case read.Checkpoint != "":
			tree = opened(read.Checkpoint, verifier)
		case read.Earlier != "":
			older := opened(read.Earlier, verifier)
			if err := tlog.CheckTree(hashes(read.Consistency), tree.N, tree.Hash, older.N, older.Hash); err != nil {
				fail(err)
			}
			grown = true
		case read.Entry != nil:
			leaf := tlog.RecordHash([]byte(*read.Entry))
			if err := tlog.CheckRecord(hashes(read.Inclusion), tree.N, tree.Hash, read.Index, leaf); err != nil {
				fail(err)
			}
			entries++
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
	fmt.Println("entries", entries, "size", tree.N, "grown", grown)
}
