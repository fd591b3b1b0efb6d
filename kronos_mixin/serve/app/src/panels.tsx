// The panels that Grafana brings along are not published as packages. These draw with the same components, for as many
// kinds as the dashboards use.
import {
  type AnnotationEvent,
  type DataFrame,
  DataFrameView,
  type DisplayValueAlignmentFactors,
  type Field,
  type FieldConfigSource,
  FieldConfigProperty,
  type FieldDisplay,
  FieldType,
  type PanelData,
  PanelPlugin,
  type PanelPluginMeta,
  type PanelProps,
  type ReduceDataOptions,
  VizOrientation,
  cacheFieldDisplayNames,
  colorManipulator,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  renderMarkdown,
} from '@grafana/data';
import { config } from '@grafana/runtime';
import {
  BarGaugeDisplayMode,
  BarGaugeNamePlacement,
  BarGaugeValueMode,
  type TableCellHeight,
  type TableSortByFieldState,
  type VizLegendOptions,
} from '@grafana/schema';
import {
  BarGauge,
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  TimeSeries,
  type UPlotConfigBuilder,
  VizRepeater,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { type ReactElement, useEffect, useLayoutEffect, useRef } from 'react';

import { property } from './platform';

interface SingleValueOptions {
  reduceOptions: ReduceDataOptions;
  orientation: VizOrientation;
}

interface StatOptions extends SingleValueOptions {
  colorMode: BigValueColorMode;
  graphMode: BigValueGraphMode;
  justifyMode: BigValueJustifyMode;
  textMode: BigValueTextMode;
  text?: { titleSize?: number; valueSize?: number };
}

interface BarGaugeOptions extends SingleValueOptions {
  displayMode: BarGaugeDisplayMode;
  valueMode: BarGaugeValueMode;
  namePlacement: BarGaugeNamePlacement;
  showUnfilled: boolean;
}

interface TableOptions {
  showHeader?: boolean;
  cellHeight?: TableCellHeight;
  sortBy?: TableSortByFieldState[];
}

// Grafana's defaults for what a dashboard's JSON leaves out.
const LINES = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, lineStyle: { fill: 'solid' }, fillOpacity: 0,
  gradientMode: 'none', showPoints: 'auto', pointSize: 5, barAlignment: 0, barWidthFactor: 0.6, spanNulls: false,
  insertNulls: false, axisPlacement: 'auto', axisLabel: '', axisBorderShow: false, axisColorMode: 'text',
  axisCenteredZero: false, axisGridShow: undefined, axisSoftMin: undefined, axisSoftMax: undefined, axisWidth: undefined,
  scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' }, fillBelowTo: undefined,
  hideFrom: { tooltip: false, viz: false, legend: false }, thresholdsStyle: { mode: 'off' },
};
const CELLS = { align: 'auto', cellOptions: { type: 'auto' }, filterable: false, width: undefined, minWidth: undefined, hidden: undefined, hideFrom: { viz: false }, inspect: false };
const THRESHOLDS = { mode: 'absolute', steps: [{ color: 'green', value: -Infinity }, { color: 'red', value: 80 }] };

/** What Grafana shows instead of a panel without data: the field's own text for it. */
function Empty({ fieldConfig }: { fieldConfig: FieldConfigSource }): ReactElement {
  return (
    <div data-empty style={{ display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center' }}>
      {fieldConfig.defaults.noValue ?? 'No data'}
    </div>
  );
}

function isEmpty(data: PanelData): boolean {
  return data.series.every((frame) => frame.length === 0);
}

function Lines({ data, width, height, timeRange, timeZone, options, fieldConfig }: PanelProps<{ legend: VizLegendOptions }>): ReactElement {
  if (isEmpty(data)) {
    return <Empty fieldConfig={fieldConfig} />;
  }
  return (
    <TimeSeries
      frames={data.series}
      structureRev={data.structureRev}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone={timeZone}
      legend={options.legend}
      options={options}
    >
      {(builder) => <Marks builder={builder} annotations={data.annotations ?? []} />}
    </TimeSeries>
  );
}

/** Annotations as Grafana draws them: a shade from begin to end, with a dashed line at both. */
function Marks({ builder, annotations }: { builder: UPlotConfigBuilder; annotations: DataFrame[] }): null {
  const marks = annotations.flatMap((frame) => new DataFrameView<AnnotationEvent>(frame).toArray());
  // The plot outlives its annotations: they may come later than the lines, and change.
  const current = useRef(marks);
  const redraw = useRef(() => {});
  useLayoutEffect(() => {
    builder.addHook('init', (plot) => {
      redraw.current = () => plot.redraw();
    });
    builder.addHook('draw', ({ ctx, bbox, valToPos }) => {
      ctx.save();
      ctx.setLineDash([5, 5]);
      for (const { time, timeEnd, color } of current.current) {
        const [begin, end] = [time!, timeEnd!].map((at) => valToPos(at, 'x', true));
        ctx.strokeStyle = color!;
        ctx.fillStyle = colorManipulator.alpha(color!, 0.1);
        ctx.fillRect(begin, bbox.top, end - begin, bbox.height);
        for (const x of [begin, end]) {
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
        }
      }
      ctx.restore();
    });
  }, [builder]);
  useEffect(() => {
    current.current = marks;
    redraw.current();
  });
  return null;
}

type Shown = Pick<PanelProps, 'data' | 'fieldConfig' | 'replaceVariables' | 'timeZone'> & { options: SingleValueOptions };

function values({ data, fieldConfig, options, replaceVariables, timeZone }: Shown, sparkline: boolean): FieldDisplay[] {
  return getFieldDisplayValues({
    fieldConfig,
    reduceOptions: options.reduceOptions,
    replaceVariables,
    theme: config.theme2,
    data: data.series,
    sparkline,
    timeZone,
  });
}

function Stat(props: PanelProps<StatOptions>): ReactElement {
  const { data, width, height, options, renderCounter, timeRange } = props;
  return (
    <VizRepeater<FieldDisplay, DisplayValueAlignmentFactors>
      source={data}
      renderCounter={renderCounter}
      width={width}
      height={height}
      itemSpacing={3}
      orientation={options.orientation}
      autoGrid
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      getValues={() => values(props, options.graphMode !== BigValueGraphMode.None)}
      renderValue={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display}
          sparkline={value.sparkline && { ...value.sparkline, timeRange }}
          count={count}
          colorMode={options.colorMode}
          graphMode={options.graphMode}
          justifyMode={options.justifyMode}
          textMode={options.textMode}
          text={options.text}
          width={width}
          height={height}
          theme={config.theme2}
          alignmentFactors={alignmentFactors}
        />
      )}
    />
  );
}

function Bars(props: PanelProps<BarGaugeOptions>): ReactElement {
  const { data, width, height, options, renderCounter, fieldConfig } = props;
  if (isEmpty(data)) {
    return <Empty fieldConfig={fieldConfig} />;
  }
  return (
    <VizRepeater<FieldDisplay, DisplayValueAlignmentFactors>
      source={data}
      renderCounter={renderCounter}
      width={width}
      height={height}
      itemSpacing={8}
      minVizHeight={16}
      orientation={options.orientation}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      getValues={() => values(props, false)}
      renderValue={({ value, width, height, orientation, alignmentFactors }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
          orientation={orientation}
          displayMode={options.displayMode}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled}
          itemSpacing={8}
          lcdCellWidth={8}
          width={width}
          height={height}
          theme={config.theme2}
          alignmentFactors={alignmentFactors}
        />
      )}
    />
  );
}

function Rows({ data, width, height, options, fieldConfig, timeRange }: PanelProps<TableOptions>): ReactElement {
  if (isEmpty(data)) {
    return <Empty fieldConfig={fieldConfig} />;
  }
  cacheFieldDisplayNames(data.series);
  return (
    <TableNG
      data={data.series[0]}
      width={width}
      height={height}
      noHeader={options.showHeader === false}
      cellHeight={options.cellHeight}
      sortBy={options.sortBy}
      timeRange={timeRange}
      fieldConfig={fieldConfig}
      noValue={fieldConfig.defaults.noValue}
      structureRev={data.structureRev}
    />
  );
}

function Words({ options, replaceVariables }: PanelProps<{ content: string }>): ReactElement {
  return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: renderMarkdown(replaceVariables(options.content)) }} />;
}

/** Stands for a panel that is not drawn here. */
function Undrawn({ data, options }: PanelProps<{ reason?: string }>): ReactElement {
  return (
    <div data-empty style={{ display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center', textAlign: 'center' }}>
      {options.reason ?? `Panels of this kind are drawn by Grafana only. Its queries found ${data.series.length} series`}
    </div>
  );
}

/** A panel kind whose fields know custom properties, each with a default. */
function kind<T>(panel: (props: PanelProps<T>) => ReactElement, colour: string, custom: Record<string, unknown>): PanelPlugin<T> {
  return new PanelPlugin<T>(panel).useFieldConfig({
    standardOptions: {
      [FieldConfigProperty.Color]: { defaultValue: { mode: colour } },
      [FieldConfigProperty.Thresholds]: { defaultValue: THRESHOLDS },
    },
    useCustomConfig: (builder) => {
      for (const [path, defaultValue] of Object.entries(custom)) {
        // The label is that of the values: time needs none.
        const shouldApply = (field: Field) => path !== 'axisLabel' || field.type !== FieldType.time;
        builder.addCustomEditor({ ...property(path), defaultValue, shouldApply });
      }
    },
  });
}

/** All kinds. With `others`, there is a stand-in for kinds that are not drawn here; without it, they are an error. */
export function plugins(others: boolean): Record<string, PanelPlugin> {
  const all: Record<string, PanelPlugin> = {
    timeseries: kind(Lines, 'palette-classic', LINES).setDataSupport({ annotations: true, alertStates: false }),
    stat: kind(Stat, 'thresholds', {}),
    bargauge: kind(Bars, 'thresholds', {}),
    table: kind(Rows, 'thresholds', CELLS),
    text: new PanelPlugin(Words),
    ...(others && { undrawn: new PanelPlugin(Undrawn) }),
  };
  for (const [id, plugin] of Object.entries(all)) {
    plugin.meta = { id, name: id, type: 'panel', info: { version: '13.2.2' } } as PanelPluginMeta;
  }
  return all;
}

/** Options that Grafana fills in where a dashboard's JSON leaves them out. */
export const DEFAULT_OPTIONS: Record<string, Record<string, unknown>> = {
  timeseries: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] } },
  stat: {
    reduceOptions: { calcs: ['lastNotNull'] },
    orientation: VizOrientation.Auto,
    colorMode: BigValueColorMode.Value,
    graphMode: BigValueGraphMode.Area,
    justifyMode: BigValueJustifyMode.Auto,
    textMode: BigValueTextMode.Auto,
  },
  bargauge: {
    reduceOptions: { calcs: ['lastNotNull'] },
    orientation: VizOrientation.Auto,
    displayMode: BarGaugeDisplayMode.Gradient,
    valueMode: BarGaugeValueMode.Color,
    namePlacement: BarGaugeNamePlacement.Auto,
    showUnfilled: true,
  },
  table: { showHeader: true, cellHeight: 'sm' },
  text: { content: '' },
};
