package collect

// Take is take, for the benchmark.
var Take = (*Collector).handle
