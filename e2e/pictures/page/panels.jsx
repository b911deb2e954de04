// The three types of panel that the dashboard has. Grafana's panels themselves are not published as a package, its components are;
// what is here is what lies between: defaults of options, and which component gets what.

import {
  applyFieldOverrides,
  applyNullInsertThreshold,
  createDataFrame,
  FieldType,
  getDisplayProcessor,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  getPanelOptionsWithDefaults,
  PanelPlugin,
} from '@grafana/data';
import { BarGauge, BigValue, commonOptionsBuilder, PanelChrome, TimeSeries, VizRepeater } from '@grafana/ui';
import React from 'react';
import { lineConfig, register } from './fields.js';

register();

const asIs = (text) => text;

const Lines = ({ data, options, theme, timeRange, width, height }) => {
  // Where a scrape is missing, the line is broken.
  const [refFieldPseudoMin, refFieldPseudoMax] = [timeRange.from.valueOf(), timeRange.to.valueOf()];
  const frames = data.map((frame) => applyNullInsertThreshold({ frame, refFieldPseudoMin, refFieldPseudoMax }));
  let seriesIndex = 0;
  for (const field of frames.flatMap(({ fields }) => fields).filter(({ type }) => type === FieldType.number)) {
    field.state = { ...field.state, seriesIndex: seriesIndex++ }; // the palette's colours, one after the other
    field.display = getDisplayProcessor({ field, theme });
  }
  return <TimeSeries {...{ frames, timeRange, timeZone: 'utc', width, height, legend: options.legend, options }} />;
};

const Repeated = ({ data, options, theme, width, height, fieldConfig, itemSpacing, autoGrid, children, ...further }) => (
  <VizRepeater
    getValues={() =>
      getFieldDisplayValues({
        fieldConfig,
        reduceOptions: options.reduceOptions,
        replaceVariables: asIs,
        theme,
        data,
        sparkline: false,
        timeZone: 'utc',
      })
    }
    getAlignmentFactors={getDisplayValueAlignmentFactors}
    renderValue={children}
    source={data}
    renderCounter={0}
    orientation={options.orientation}
    {...{ width, height, itemSpacing, autoGrid, ...further }}
  />
);

const Stat = (props) => (
  <Repeated {...props} itemSpacing={3} autoGrid>
    {({ value, alignmentFactors, width, height, count }) => (
      <BigValue
        value={value.display}
        colorMode={props.options.colorMode}
        graphMode={props.options.graphMode}
        justifyMode={props.options.justifyMode}
        textMode={props.options.textMode}
        text={props.options.text}
        wideLayout={props.options.wideLayout}
        {...{ alignmentFactors, width, height, count, theme: props.theme }}
      />
    )}
  </Repeated>
);

const Bars = (props) => (
  <Repeated {...props} {...sizes(props.options)} itemSpacing={10}>
    {({ value, alignmentFactors, width, height, count, orientation }) => (
      <BarGauge
        value={value.display}
        field={value.field}
        text={props.options.text}
        display={value.view?.getFieldDisplayProcessor(value.colIndex)}
        displayMode={props.options.displayMode}
        showUnfilled={props.options.showUnfilled}
        valueDisplayMode={props.options.valueMode}
        namePlacement={props.options.namePlacement}
        itemSpacing={10}
        lcdCellWidth={12}
        {...{ alignmentFactors, width, height, orientation, theme: props.theme }}
      />
    )}
  </Repeated>
);

const sizes = ({ sizing, minVizWidth, minVizHeight, maxVizHeight }) =>
  sizing === 'manual' ? { minVizWidth, minVizHeight, maxVizHeight } : { minVizWidth: 8, minVizHeight: 16, maxVizHeight: 300 };

const reduced = { values: false, calcs: ['lastNotNull'], fields: '' };
const one = (path, defaultValue) => ({ path, name: path, defaultValue, id: path, editor: () => null });
const withDefaults = (defaults) => (builder) => {
  for (const [path, value] of Object.entries(defaults)) {
    builder.addCustomEditor(one(path, value));
  }
};

const TYPES = {
  timeseries: {
    Drawn: Lines,
    plugin: new PanelPlugin(Lines).useFieldConfig(lineConfig()).setPanelOptions((builder) => {
      commonOptionsBuilder.addTooltipOptions(builder);
      commonOptionsBuilder.addLegendOptions(builder);
    }),
  },
  stat: {
    Drawn: Stat,
    padding: 'none',
    plugin: new PanelPlugin(Stat).useFieldConfig().setPanelOptions(
      withDefaults({
        reduceOptions: reduced,
        orientation: 'auto',
        textMode: 'auto',
        wideLayout: true,
        colorMode: 'value',
        graphMode: 'area',
        justifyMode: 'auto',
      }),
    ),
  },
  bargauge: {
    Drawn: Bars,
    plugin: new PanelPlugin(Bars).useFieldConfig().setPanelOptions(
      withDefaults({
        reduceOptions: reduced,
        orientation: 'auto',
        displayMode: 'gradient',
        valueMode: 'color',
        namePlacement: 'auto',
        showUnfilled: true,
        sizing: 'auto',
        minVizWidth: 8,
        minVizHeight: 16,
        maxVizHeight: 300,
      }),
    ),
  },
};

const framed = ({ refId, name, labels, interval, times, values }) =>
  createDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: times, config: { interval } },
      { name: 'Value', type: FieldType.number, values, labels, config: { displayNameFromDS: name } },
    ],
  });

export const Panel = ({ panel, frames, place, theme, timeRange }) => {
  const { Drawn, plugin, padding } = TYPES[panel.type];
  const { options, fieldConfig } = getPanelOptionsWithDefaults({
    plugin,
    currentOptions: panel.options,
    currentFieldConfig: panel.fieldConfig,
    isAfterPluginChange: false,
  });
  const data = applyFieldOverrides({
    data: frames.map(framed),
    fieldConfig,
    fieldConfigRegistry: plugin.fieldConfigRegistry,
    replaceVariables: asIs,
    theme,
    timeZone: 'utc',
  });
  return (
    <PanelChrome title={panel.title} description={panel.description} padding={padding} width={place.width} height={place.height}>
      {(width, height) =>
        data.length ? <Drawn {...{ data, options, fieldConfig, theme, timeRange, width, height }} /> : <Empty text={fieldConfig.defaults.noValue} theme={theme} />
      }
    </PanelChrome>
  );
};

const Empty = ({ text = 'No data', theme }) => (
  <div style={{ display: 'grid', placeItems: 'center', height: '100%', color: theme.colors.text.secondary }}>{text}</div>
);
