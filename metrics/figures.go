package metrics

import (
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Figures shows the fields of a struct of figures, such as the Stats of session/redisstore, fleet and
// limit/redis, as family_field: counts (unsigned) as family_field_total, durations as
// family_field_seconds, and what is a struct or an array as one series for each part, with the label
// part. Read is called by each scrape once for each field: it must be quick, and always return the same type.
// What is no number, truth or duration is left out.
func (r *Recorder) Figures(family string, read func() any) {
	of := reflect.TypeOf(read())
	if of == nil || of.Kind() != reflect.Struct {
		return
	}
	for i := range of.NumField() {
		field := of.Field(i)
		if !field.IsExported() {
			continue
		}
		name := family + "_" + snake(field.Name)
		get := func() reflect.Value { return reflect.ValueOf(read()).Field(i) }
		switch field.Type.Kind() {
		case reflect.Struct:
			for j := range field.Type.NumField() {
				part := field.Type.Field(j)
				r.figure(name, part.Type, func() reflect.Value { return get().Field(j) }, "part", snake(part.Name))
			}
		case reflect.Array:
			for j := range field.Type.Len() {
				r.figure(name, field.Type.Elem(), func() reflect.Value { return get().Index(j) }, "part", string(rune('0'+j%10)))
			}
		default:
			r.figure(name, field.Type, get)
		}
	}
}

// figure shows one number.
func (r *Recorder) figure(name string, of reflect.Type, get func() reflect.Value, labels ...string) {
	switch {
	case of == reflect.TypeFor[time.Duration]():
		r.Gauge(name+"_seconds", func() float64 { return time.Duration(get().Int()).Seconds() }, labels...)
	case of.Kind() == reflect.Bool:
		r.Gauge(name, func() float64 { return oneIf(get().Bool()) }, labels...)
	case of.Kind() == reflect.Uint64:
		r.Gauge(name+"_total", func() float64 { return float64(get().Uint()) }, labels...)
	case of.Kind() == reflect.Float64:
		r.Gauge(name, func() float64 { return get().Float() }, labels...)
	case of.Kind() == reflect.Int || of.Kind() == reflect.Int64:
		r.Gauge(name, func() float64 { return float64(get().Int()) }, labels...)
	}
}

// snake turns HitsMemory into hits_memory.
func snake(name string) string {
	var b strings.Builder
	for i, c := range name {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
