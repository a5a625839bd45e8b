package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// results is what the benchmarks of this run found.
var results table

// table holds one row per figure and one column per server. Benchmarks run one
// after the other, so it needs no lock.
type table struct{ rows []row }

type row struct {
	name, unit string
	values     map[string][]float64
}

func (t *table) add(name, server string, value float64, unit string) {
	i := slices.IndexFunc(t.rows, func(r row) bool { return r.name == name })
	if i < 0 {
		i = len(t.rows)
		t.rows = append(t.rows, row{name: name, unit: unit, values: make(map[string][]float64)})
	}
	t.rows[i].values[server] = append(t.rows[i].values[server], value)
}

func (t *table) latencies(name, server string, values []time.Duration) {
	for _, q := range []float64{0.5, 0.99} {
		t.add(fmt.Sprintf("%s, p%g", name, 100*q), server, float64(quantile(values, q).Microseconds())/1000, "ms")
	}
}

func (t *table) memory(name, server string, before, after usage, count int) {
	t.add("memory of each "+name+", resident", server, (float64(after.RSS)-float64(before.RSS))/1024/float64(count), "KiB")
	t.add("memory of each "+name+", heap and stacks", server, (float64(after.Live)-float64(before.Live))/1024/float64(count), "KiB")
	t.add("goroutines of each "+name, server, float64(after.Goroutines-before.Goroutines)/float64(count), "")
}

// print writes the medians and their ratio. It writes nothing when nothing was
// measured.
func (t *table) print(out io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n\t%s\t%s\tratio\t\n", switchboard, stock)
	for _, r := range t.rows {
		ours, theirs := median(r.values[switchboard]), median(r.values[stock])
		ratio := "-"
		if len(r.values[switchboard]) > 0 && len(r.values[stock]) > 0 && theirs != 0 {
			ratio = fmt.Sprintf("%.2f", ours/theirs)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", r.name, r.show(switchboard), r.show(stock), ratio)
	}
	_ = w.Flush() // to standard output
}

func (r row) show(server string) string {
	if len(r.values[server]) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %s", median(r.values[server]), r.unit)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
