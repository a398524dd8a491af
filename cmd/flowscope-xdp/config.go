package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const configFlag = "config"

// addConfig gives every command with flags of its own the flag --config.
func addConfig(root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.Flags().HasFlags() {
			c.Flags().String(configFlag, "", "take flags from this YAML `FILE`, by their long names; those of the command line win")
		}
	}
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if f := c.Flags().Lookup(configFlag); f != nil && f.Changed {
			return applyConfig(c, f.Value.String())
		}
		return nil
	}
}

// applyConfig sets the flags of c that a file names and the command line does not. Keys that
// are flags of another command are left alone, so that commands may share a file.
func applyConfig(c *cobra.Command, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return usagef("read the configuration: %s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return nil // empty, or nothing but comments
	}
	settings := doc.Content[0]
	if settings.Kind != yaml.MappingNode {
		return usagef("%s:%d: want lines of `flag: value`", path, settings.Line)
	}
	lines := map[string]int{}
	for i := 0; i < len(settings.Content); i += 2 {
		key, value := settings.Content[i], settings.Content[i+1]
		err := setFromConfig(c, key.Value, value)
		if first, twice := lines[key.Value]; twice {
			err = fmt.Errorf("already set in line %d", first)
		}
		if err != nil {
			return usagef("%s:%d: %s: %w", path, key.Line, key.Value, err)
		}
		lines[key.Value] = key.Line
	}
	return nil
}

func setFromConfig(c *cobra.Command, name string, value *yaml.Node) error {
	f := configurable(c, name)
	switch {
	case f == nil && ofOther(c, name):
		return nil
	case f == nil:
		return fmt.Errorf("unknown key: use the long name of a flag (see `%s --help`)", c.CommandPath())
	case f.Changed:
		return nil
	}
	if err := setValue(f, value); err != nil {
		return err
	}
	f.Changed = true
	return nil
}

// configurable returns the flag of c that a configuration may set by this name, or nil.
func configurable(c *cobra.Command, name string) *pflag.Flag {
	if name == configFlag || name == "help" {
		return nil
	}
	return c.Flags().Lookup(name)
}

// ofOther reports whether another command has such a flag.
func ofOther(c *cobra.Command, name string) bool {
	for _, other := range c.Root().Commands() {
		if configurable(other, name) != nil {
			return true
		}
	}
	return false
}

var errValue = errors.New("want a value, or a list of them")

// setValue sets a flag. A list is that of a flag which may be given several times, else
// its values joined by commas.
func setValue(f *pflag.Flag, value *yaml.Node) error {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	if value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
		return f.Value.Set(value.Value)
	}
	if value.Kind != yaml.SequenceNode {
		return errValue
	}
	var list []string
	for _, v := range value.Content {
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			return errValue
		}
		list = append(list, v.Value)
	}
	if s, ok := f.Value.(pflag.SliceValue); ok {
		return s.Replace(list)
	}
	return f.Value.Set(strings.Join(list, ","))
}
