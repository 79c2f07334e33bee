// Reads a published ledger with golang.org/x/mod/sumdb/tlog, which checks each tile against the tree before it uses it.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func fail(why ...any) {
	fmt.Println(why...)
	os.Exit(1)
}

type files struct{ directory string }

func (f files) Height() int                       { return 8 }
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

// Go's own path has the height in it; C2SP's has not.
func (f files) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		bytes, err := os.ReadFile(filepath.Join(f.directory, strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

func main() {
	directory := os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	if err != nil {
		fail(err)
	}
	signed, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	if err != nil {
		fail(err)
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		fail(err)
	}
	lines := strings.Split(opened.Text, "\n")
	size, _ := strconv.ParseInt(lines[1], 10, 64)
	root, _ := base64.StdEncoding.DecodeString(lines[2])
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	reader := tlog.TileHashReader(tree, files{directory})
	entries := int64(0)
	for entries < size {
		width := size - entries
		part := fmt.Sprintf("%03d.p/%d", entries/256, width)
		if width >= 256 {
			width, part = 256, fmt.Sprintf("%03d", entries/256)
		}
		bundle, err := os.ReadFile(filepath.Join(directory, "tile/entries", part))
		if err != nil {
			fail(err)
		}
		for ; width > 0; width-- {
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			proof, err := tlog.ProveRecord(size, entries, reader)
			if err != nil {
				fail(err)
			}
			if err := tlog.CheckRecord(proof, size, tree.Hash, entries, tlog.RecordHash(entry)); err != nil {
				fail(err)
			}
			entries++
		}
	}
	fmt.Println("entries", entries, "size", size)
}
