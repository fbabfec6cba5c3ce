package main

import (
	"bytes"
	"errors"
	"image/color"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// bar is the time of one client.
type bar struct {
	name            string
	benchmark, unit string
}

// panel compares the clients in one benchmark.
type panel struct {
	title   string
	bars    []bar
	against int // index of the bar that the others are compared with
}

var panels = []panel{
	{"Get a user", clientBars("SideBySideCall/work=Get"), 0},
	{"64 goroutines get users: time a call", clientBars("ManyCalls"), 0},
	{"Add a user", clientBars("SideBySideCall/work=Add"), 0},
	{
		"Walk over 100,000 users, in chunks of 1,000",
		append(clientBars("SideBySideWalk"), bar{"zep: All", "SideBySideWalk", "zep-all-ns"}),
		0,
	},
	{"Update a user", clientBars("SideBySideCall/work=Update"), 0},
	{"Get 50 messages", clientBars("SideBySideCall/work=Memory"), 0},
	{"Get 500 documents with embeddings", clientBars("SideBySideCall/work=Documents"), 0},
	{"The same walk on a slow server (17 ms a list, 12 µs a user)", []bar{
		{"by hand: 100 a chunk", "RealServer/how=chunks-100/peer=floor", "ns/op"},
		{"by hand: 1,000 a chunk", "RealServer/how=chunks-1000/peer=floor", "ns/op"},
		{"zep: 1,000 a chunk", "RealServer/how=chunks-1000/peer=zep", "ns/op"},
		{"zep: one request", "RealServer/how=one-request/peer=zep", "ns/op"},
		{"zep: All", "RealServer/how=all/peer=zep", "ns/op"},
	}, 0},
}

func clientBars(benchmark string) (bars []bar) {
	for _, client := range clients[:4] {
		name := strings.Trim(client.name, "*")
		if client.id == "floor" {
			name = "net/http by hand"
		}
		bars = append(bars, bar{name, benchmark, client.id + "-ns"})
	}
	return bars
}

var (
	accent = color.NRGBA{0x0f, 0x76, 0x6e, 0xff} // zep
	plain  = color.NRGBA{0xb4, 0xbc, 0xc8, 0xff} // others
	first  = color.NRGBA{0x6b, 0x76, 0x86, 0xff} // the bar that the others are compared with
	ink    = color.NRGBA{0x1f, 0x29, 0x37, 0xff}
	faint  = color.NRGBA{0x6b, 0x72, 0x80, 0xff}
)

const (
	chartWidth   = vg.Length(920)
	headHeight   = 54
	panelHeight  = 150
	chartColumns = 2
)

// drawChart returns the chart as SVG.
func drawChart(r *Results) ([]byte, error) {
	var shown []panel
	for _, p := range panels {
		if p.complete(r) {
			shown = append(shown, p)
		}
	}
	if len(shown) == 0 {
		return nil, errors.New("nothing to draw: the input has no benchmark of the chart")
	}
	lines := (len(shown) + chartColumns - 1) / chartColumns
	height := vg.Points(headHeight + float64(lines*panelHeight))
	svg := vgsvg.New(chartWidth, height)
	canvas := draw.New(svg)
	canvas.FillPolygon(color.White, []vg.Point{
		{}, {X: chartWidth}, {X: chartWidth, Y: height}, {Y: height},
	})
	canvas.FillText(style(15, ink, text.XLeft), vg.Point{X: 14, Y: height - 26},
		"Time by client: shorter is faster, in brackets against the dark bar")
	canvas.FillText(style(10.5, faint, text.XLeft), vg.Point{X: 14, Y: height - 42},
		r.Machine["cpu"]+", "+r.Machine["cores"]+" cores, "+r.Machine["go"]+", "+r.Machine["date"])
	for i, panel := range shown {
		p, err := panel.plot(r)
		if err != nil {
			return nil, err
		}
		column, line := i%chartColumns, i/chartColumns
		left := chartWidth / chartColumns * vg.Length(column)
		top := height - vg.Points(headHeight+float64(line*panelHeight))
		title := style(12, ink, text.XLeft)
		title.Font.Weight = xfont.WeightBold
		canvas.FillText(title, vg.Point{X: left + 14, Y: top - 16}, panel.title)
		p.Draw(draw.Canvas{Canvas: canvas.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: left + 14, Y: top - panelHeight + 4},
			Max: vg.Point{X: left + chartWidth/chartColumns - 30, Y: top - 20},
		}})
	}
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return nil, err
	}
	// The widths were measured in Liberation Sans. Arial and Helvetica have the same widths.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

func (p panel) complete(r *Results) bool {
	for _, b := range p.bars {
		if _, found := r.Get(b.benchmark, b.unit); !found {
			return false
		}
	}
	return true
}

func (p panel) plot(r *Results) (*plot.Plot, error) {
	drawn := plot.New()
	drawn.BackgroundColor = nil
	drawn.HideX()
	drawn.Y.LineStyle.Width = 0
	drawn.Y.Tick.LineStyle.Width = 0
	drawn.Y.Tick.Label = style(11, ink, text.XRight)
	drawn.Y.Padding = 12 // space for a font wider than the measured one

	longest := 0.0
	base, _ := r.Get(p.bars[p.against].benchmark, p.bars[p.against].unit)
	var names []string
	labels := plotter.XYLabels{}
	for i := range p.bars {
		b := p.bars[len(p.bars)-1-i] // the first bar is at the top
		value, _ := r.Get(b.benchmark, b.unit)
		longest = max(longest, value)
		chart, err := plotter.NewBarChart(plotter.Values{value}, 15)
		if err != nil {
			return nil, err
		}
		chart.Horizontal = true
		chart.XMin = float64(i)
		chart.LineStyle.Width = 0
		chart.Color = plain
		label := duration(value)
		switch {
		case len(p.bars)-1-i == p.against:
			chart.Color = first
		case strings.HasPrefix(b.name, "zep"):
			chart.Color = accent
			fallthrough
		default:
			label += " " + times(value, base)
		}
		drawn.Add(chart)
		names = append(names, b.name)
		labels.XYs = append(labels.XYs, plotter.XY{X: value, Y: float64(i)})
		labels.Labels = append(labels.Labels, label)
	}
	values, err := plotter.NewLabels(labels)
	if err != nil {
		return nil, err
	}
	for i := range values.TextStyle {
		values.TextStyle[i] = style(11, ink, text.XLeft)
		values.TextStyle[i].YAlign = -0.38 // digits have no descenders
	}
	values.Offset = vg.Point{X: 5}
	drawn.Add(values)
	drawn.NominalY(names...)
	drawn.Y.Tick.Label.YAlign = -0.6
	drawn.X.Min, drawn.X.Max = 0, longest*1.12
	drawn.Y.Min, drawn.Y.Max = -0.6, float64(len(p.bars))-0.4
	return drawn, nil
}

func style(size float64, c color.Color, align text.XAlignment) text.Style {
	return text.Style{
		Color:   c,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)},
		XAlign:  align,
		Handler: plot.DefaultTextHandler,
	}
}
