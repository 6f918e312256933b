// Gomutate makes mutants of functions by rule, on their syntax tree:
//
//	gomutate FILE FUNCTION...
//
// prints a JSON list of them. A rule changes one thing at one place:
//
//	negate    the condition of an if or a for is turned round
//	shift     a comparison takes in its border, or leaves it out
//	drop      an assignment, or a call made for its effect, is left out;
//	          its operands are still used, or it would not compile
//	zero      a variable begins as zero and not with its value
//	double    an integer is twice itself
//	increment an integer is one more
//	swap      true and false, && and ||
//
// A mutant's id is function, rule and the text it changes, with no line
// number, so that it is the same in another release. The same text again in
// the same function is told apart by #2, #3.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
)

// An edit replaces old, at offset bytes, by new.
type edit struct {
	Offset int    `json:"offset"`
	Old    string `json:"old"`
	New    string `json:"new"`
}

type mutant struct {
	ID       string `json:"id"`
	Function string `json:"function"`
	Why      string `json:"why"`
	Edits    []edit `json:"edits"`
}

// zeroHelper gives a zero of the type of a value that only the compiler
// knows; small enough to be inlined, for a nosplit function has no stack to
// spare.
const zeroHelper = "\nfunc golibZero[T any](T) (zero T) { return }\n"

// statementLimit is how much of a changed text an id shows, bytes.
const statementLimit = 80

type generator struct {
	source   []byte
	fset     *token.FileSet
	function string
	seen     map[string]int
	mutants  []mutant
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: gomutate FILE FUNCTION...")
		os.Exit(2)
	}
	mutants, err := generate(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gomutate:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(mutants); err != nil {
		fmt.Fprintln(os.Stderr, "gomutate:", err)
		os.Exit(1)
	}
}

func generate(path string, functions []string) ([]mutant, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	g := &generator{source: source, fset: fset, seen: make(map[string]int)}
	for _, name := range functions {
		body := bodyOf(file, name)
		if body == nil {
			return nil, fmt.Errorf("%s has no function %s", path, name)
		}
		g.function = name
		ast.Inspect(body, g.visit)
	}
	return g.mutants, nil
}

func bodyOf(file *ast.File, name string) *ast.BlockStmt {
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
			return f.Body
		}
	}
	return nil
}

func (g *generator) visit(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.IfStmt:
		g.negate(node.Cond)
	case *ast.ForStmt:
		if node.Cond != nil {
			g.negate(node.Cond)
		}
	case *ast.BinaryExpr:
		g.operator(node)
	case *ast.AssignStmt:
		g.assignment(node)
	case *ast.IncDecStmt:
		g.add("drop", node, "leaves it out", "")
	case *ast.ExprStmt:
		if call, ok := node.X.(*ast.CallExpr); ok {
			g.add("drop", node, "leaves the call out", use(g.texts(call.Args)))
		}
	case *ast.Ident:
		switch node.Name {
		case "true":
			g.add("swap", node, "is false", "false")
		case "false":
			g.add("swap", node, "is true", "true")
		}
	case *ast.BasicLit:
		g.constant(node)
	case *ast.IndexExpr:
		// Another element is often none: it would not compile.
		ast.Inspect(node.X, g.visit)
		return false
	case *ast.ArrayType:
		return false
	}
	return true
}

func (g *generator) negate(condition ast.Expr) {
	g.add("negate", condition, "is turned round", "!("+g.text(condition)+")")
}

func (g *generator) operator(node *ast.BinaryExpr) {
	shifted := map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}
	swapped := map[token.Token]string{token.LAND: "||", token.LOR: "&&"}
	left, right := g.text(node.X), g.text(node.Y)
	if operator, ok := shifted[node.Op]; ok {
		g.add("shift", node, "treats its border the other way", left+" "+operator+" "+right)
	}
	if operator, ok := swapped[node.Op]; ok {
		// In parentheses, for || binds less than what stands around it.
		g.add("swap", node, "says "+operator, "("+left+" "+operator+" "+right+")")
	}
}

func (g *generator) assignment(node *ast.AssignStmt) {
	if node.Tok != token.DEFINE {
		g.add("drop", node, "leaves it out", use(g.texts(node.Rhs)))
		return
	}
	if len(node.Lhs) != 1 || len(node.Rhs) != 1 {
		return
	}
	zeroed := g.text(node.Lhs[0]) + " := golibZero(" + g.text(node.Rhs[0]) + ")"
	helper := edit{Offset: len(g.source), New: zeroHelper}
	g.add("zero", node, "begins as zero", zeroed, helper)
}

func (g *generator) constant(node *ast.BasicLit) {
	if node.Kind != token.INT {
		return
	}
	value, err := strconv.ParseInt(node.Value, 0, 64)
	if err != nil {
		return
	}
	if value != 0 {
		g.add("double", node, "is twice that", strconv.FormatInt(2*value, 10))
	}
	g.add("increment", node, "is one more", strconv.FormatInt(value+1, 10))
}

// add makes a mutant of the text of node. An id shows the whole line for what
// is too short to be told: an operand, a constant.
func (g *generator) add(rule string, node ast.Node, what, text string, more ...edit) {
	old := g.text(node)
	shown := clip(old)
	switch node.(type) {
	case *ast.Ident, *ast.BasicLit:
		shown += " in " + clip(g.line(node))
	}
	id := g.function + "/" + rule + "/" + shown
	g.seen[id]++
	if n := g.seen[id]; n > 1 {
		id += fmt.Sprintf(" #%d", n)
	}
	change := edit{Offset: g.fset.Position(node.Pos()).Offset, Old: old, New: text}
	g.mutants = append(g.mutants, mutant{
		ID:       id,
		Function: g.function,
		Why:      fmt.Sprintf("%s: %s %s", g.function, shown, what),
		Edits:    append([]edit{change}, more...),
	})
}

// use is a statement that uses the values and does nothing with them.
func use(values []string) string {
	values = slices.DeleteFunc(values, func(value string) bool { return value == "nil" })
	if len(values) == 0 {
		return ""
	}
	return strings.Repeat("_, ", len(values)-1) + "_ = " + strings.Join(values, ", ")
}

func (g *generator) text(node ast.Node) string {
	return string(g.source[g.fset.Position(node.Pos()).Offset:g.fset.Position(node.End()).Offset])
}

func (g *generator) texts(nodes []ast.Expr) []string {
	texts := make([]string, 0, len(nodes))
	for _, node := range nodes {
		texts = append(texts, g.text(node))
	}
	return texts
}

// line is the line of the source on which node begins.
func (g *generator) line(node ast.Node) string {
	offset := g.fset.Position(node.Pos()).Offset
	begin := strings.LastIndexByte(string(g.source[:offset]), '\n') + 1
	line, _, _ := strings.Cut(string(g.source[begin:]), "\n")
	return line
}

// clip is the text on one line, without its comment, and not too long.
func clip(text string) string {
	text, _, _ = strings.Cut(strings.Join(strings.Fields(text), " "), " //")
	if len(text) > statementLimit {
		text = text[:statementLimit] + "…"
	}
	return text
}
