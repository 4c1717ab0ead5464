// Judges claims about a log by the code of Go's checksum database: sumdb/note and sumdb/tlog.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type claim struct {
	Kind, Note, Vkey, Leaf, Folder, Skey string
	OldNote                              string `json:"old_note"`
	Index                                int64
	Indexes                              []int64
	Proof                                []string
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func hash(text string) (h tlog.Hash) {
	if copy(h[:], must(base64.StdEncoding.DecodeString(text))) != tlog.HashSize {
		panic("a hash has another length")
	}
	return h
}

func hashes(texts []string) (all []tlog.Hash) {
	for _, text := range texts {
		all = append(all, hash(text))
	}
	return all
}

// open verifies a checkpoint. tlog.ParseTree knows one origin alone, so that is put in.
func open(text, vkey string) tlog.Tree {
	opened := must(note.Open([]byte(text), note.VerifierList(must(note.NewVerifier(vkey)))))
	_, lines, _ := strings.Cut(opened.Text, "\n")
	return must(tlog.ParseTree([]byte("go.sum database tree\n" + lines)))
}

// tiles reads a folder in the layout of c2sp.org/tlog-tiles; tlog's own paths have the height too.
type tiles string

func (folder tiles) Height() int                     { return 8 }
func (folder tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (folder tiles) ReadTiles(wanted []tlog.Tile) (all [][]byte, err error) {
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(folder), path))
		if err == nil && len(data) != tile.W*tlog.HashSize {
			err = fmt.Errorf("%s has %d bytes", path, len(data))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// entry returns a leaf's data from its entry bundle.
func (folder tiles) entry(index, size int64) []byte {
	bundle := tlog.Tile{H: 8, L: -1, N: index / 256, W: int(min(256, size-index/256*256))}
	path := strings.Replace(bundle.Path(), "tile/8/data/", "tile/entries/", 1)
	data := must(os.ReadFile(filepath.Join(string(folder), path)))
	for rest := index % 256; rest > 0; rest-- {
		data = data[2+binary.BigEndian.Uint16(data):]
	}
	return data[2 : 2+binary.BigEndian.Uint16(data)]
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func check(c claim) error {
	switch c.Kind {
	case "checkpoint":
		open(c.Note, c.Vkey)
	case "inclusion":
		tree := open(c.Note, c.Vkey)
		return tlog.CheckRecord(hashes(c.Proof), tree.N, tree.Hash, c.Index, hash(c.Leaf))
	case "consistency":
		old, tree := open(c.OldNote, c.Vkey), open(c.Note, c.Vkey)
		return tlog.CheckTree(hashes(c.Proof), tree.N, tree.Hash, old.N, old.Hash)
	case "tiles":
		tree, folder := open(c.Note, c.Vkey), tiles(c.Folder)
		// The proofs count: x/mod 0.7.0 does not check every tile that its reader takes.
		reader := tlog.TileHashReader(tree, folder)
		for _, index := range c.Indexes {
			proof := must(tlog.ProveRecord(tree.N, index, reader))
			leaf := tlog.RecordHash(folder.entry(index, tree.N))
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
				return err
			}
		}
	case "signed":
		opened := must(note.Open([]byte(c.Note), note.VerifierList(must(note.NewVerifier(c.Vkey)))))
		own := must(note.Sign(&note.Note{Text: opened.Text}, must(note.NewSigner(c.Skey))))
		if string(own) != c.Note {
			return fmt.Errorf("another note:\n%s", own)
		}
	default:
		panic("unknown claim: " + c.Kind)
	}
	return nil
}

// judged returns nothing for a claim that holds, else what is said against it.
func judged(c claim) (said *string) {
	defer func() {
		if reason := recover(); reason != nil {
			text := fmt.Sprint(reason)
			said = &text
		}
	}()
	if err := check(c); err != nil {
		text := err.Error()
		return &text
	}
	return nil
}

func main() {
	var claims []claim
	if err := json.NewDecoder(os.Stdin).Decode(&claims); err != nil {
		panic(err)
	}
	said := []*string{}
	for _, c := range claims {
		said = append(said, judged(c))
	}
	json.NewEncoder(os.Stdout).Encode(said)
}
