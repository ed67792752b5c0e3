// uPlot, loaded when the first chart is shown. Its style sheet is a file and it styles through the object model, so
// the content security policy stays strict.
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface Line {
  label: string;
  /** A custom property, such as `--series-1`. */
  colour: string;
  /** Filled to the ground. */
  filled?: boolean;
}

export interface PlotOptions {
  lines: readonly Line[];
  /** For the axis at the left. */
  format: (value: number) => string;
  /** For the axis below: milliseconds since 1970. */
  formatTime: (ms: number) => string;
  /** The smallest span of values; the top grows with what is drawn. */
  least: readonly [number, number];
  /** Nothing goes beyond it, such as 100 for percent. */
  most?: number;
  /** Steps of 1024 instead of 1000. */
  binary?: boolean;
  /** Charts of one key share the crosshair. */
  sync: string;
  /** The index under the crosshair, null when it left. */
  onpoint: (index: number | null) => void;
}

export interface PlotData {
  times: readonly number[];
  /** Null ends a line; undefined says nothing about it. */
  figures: readonly (readonly (number | null | undefined)[])[];
  range: readonly [number, number];
  /** Spans without any word from the device. */
  bands: readonly (readonly [number, number])[];
}

const AXIS_WIDTH = 62;
const SI_STEPS = [1, 2, 2.5, 5];

export class Plot {
  readonly #plot: UPlot;
  #data: PlotData;

  constructor(place: HTMLElement, options: PlotOptions, data: PlotData, size: { width: number; height: number }) {
    this.#data = data;
    this.#plot = new UPlot(this.#options(place, options, size), aligned(data), place);
  }

  set(data: PlotData): void {
    this.#data = data;
    this.#plot.setData(aligned(data));
  }

  resize(size: { width: number; height: number }): void {
    this.#plot.setSize(size);
  }

  destroy(): void {
    this.#plot.destroy();
  }

  #options(place: HTMLElement, options: PlotOptions, size: { width: number; height: number }): UPlot.Options {
    const styles = getComputedStyle(place);
    const colour = (name: string) => styles.getPropertyValue(name).trim();
    const [faint, line] = [colour('--text-faint'), colour('--line')];
    const colours = options.lines.map((one) => colour(one.colour));
    const axis = { stroke: faint, font: `11px ${styles.fontFamily}`, ticks: { show: false }, gap: 6 };
    return {
      ...size,
      ms: 1,
      legend: { show: false },
      padding: [8, 8, 0, 0],
      cursor: {
        drag: { x: false, y: false, setScale: false },
        y: false,
        points: { size: 7, width: 2, stroke: (_plot, index) => colours[index - 1] ?? faint, fill: colour('--surface') },
        sync: { key: options.sync, setSeries: false },
      },
      scales: {
        x: { time: true, range: () => [...this.#data.range] },
        y: { range: (_plot, low, high) => valueRange(low, high, options) },
      },
      axes: [
        { ...axis, grid: { show: false }, space: 70, values: (_plot, ticks) => ticks.map(options.formatTime), size: 26 },
        {
          ...axis,
          grid: { stroke: line, width: 1 },
          space: 34,
          size: AXIS_WIDTH,
          values: (_plot, ticks) => ticks.map(options.format),
          ...(options.binary === true ? { incrs: binarySteps() } : {}),
        },
      ],
      series: [{}, ...options.lines.map((one, index) => drawnLine(one, colours[index] ?? faint))],
      hooks: {
        drawClear: [(plot) => this.#drawBands(plot, colour('--sunken'))],
        setCursor: [(plot) => options.onpoint(plot.cursor.idx ?? null)],
      },
    };
  }

  /** Where nothing is known the ground is darker: an outage is seen before any figure is read. */
  #drawBands(plot: UPlot, colour: string): void {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = colour;
    for (const [from, to] of this.#data.bands) {
      const left = Math.max(plot.valToPos(from, 'x', true), bbox.left);
      const right = Math.min(plot.valToPos(to, 'x', true), bbox.left + bbox.width);
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  }
}

function drawnLine({ label, filled = false }: Line, colour: string): UPlot.Series {
  return {
    label,
    stroke: colour,
    width: 1.5,
    // Only points that stand alone between two gaps.
    points: { show: false, size: 4, fill: colour },
    ...(filled ? { fill: `color-mix(in srgb, ${colour} 13%, transparent)` } : {}),
  };
}

function valueRange(low: number | null, high: number | null, options: PlotOptions): [number, number] {
  const [bottom, top] = options.least;
  const least = Math.min(bottom, low ?? bottom);
  // Some air above, so that the highest point does not touch the edge.
  const most = Math.max(top, (high ?? top) + ((high ?? top) - least) * 0.08);
  return [least, options.most === undefined ? most : Math.min(most, options.most)];
}

function binarySteps(): number[] {
  return Array.from({ length: 6 }, (_, power) => SI_STEPS.map((step) => step * 1024 ** power)).flat();
}

function aligned(data: PlotData): UPlot.AlignedData {
  return [data.times, ...data.figures] as UPlot.AlignedData;
}
