// Package orca reads and writes the header by which a backend says how loaded it is: Open Request
// Cost Aggregation, as Envoy and gRPC know it.
//
//	Endpoint-Load-Metrics: TEXT cpu_utilization=0.3,rps_fractional=120.5,eps=1
//	Endpoint-Load-Metrics: JSON {"cpu_utilization":0.3,"named_metrics":{"in_flight":12}}
//
// The names are those of xds.data.orca.v3.OrcaLoadReport: application_utilization,
// cpu_utilization, mem_utilization, rps_fractional and eps. ORCA has no names for requests in flight
// and latency, so these are metrics of our own: named_metrics.in_flight, and
// named_metrics.latency_seconds.
package orca
