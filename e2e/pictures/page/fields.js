// Which settings of a field there are, with Grafana's defaults: what is not registered does not apply.

import {
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  thresholdsOverrideProcessor,
  ThresholdsMode,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';
import { commonOptionsBuilder } from '@grafana/ui';

const nothing = () => null;
const setting = (id, process, defaultValue) => ({
  id,
  path: id,
  name: id,
  process,
  defaultValue,
  editor: nothing,
  override: nothing,
  shouldApply: () => true,
});

const STANDARD = [
  setting('unit', unitOverrideProcessor),
  setting('min', numberOverrideProcessor),
  setting('max', numberOverrideProcessor),
  setting('decimals', numberOverrideProcessor),
  setting('displayName', displayNameOverrideProcessor),
  setting('noValue', identityOverrideProcessor),
  setting('color', identityOverrideProcessor, { mode: 'thresholds' }),
  setting('mappings', valueMappingsOverrideProcessor, []),
  setting('thresholds', thresholdsOverrideProcessor, {
    mode: ThresholdsMode.Absolute,
    steps: [
      { value: -Infinity, color: 'green' },
      { value: 80, color: 'red' },
    ],
  }),
];

const LINES = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: 'none',
  barAlignment: 0,
  barWidthFactor: 0.6,
  spanNulls: false,
  insertNulls: false,
  showPoints: 'auto',
  pointSize: 5,
  thresholdsStyle: { mode: 'off' },
};

// Of Grafana's editors of options; a picture edits nothing, but a setting without one is refused.
const EDITORS = ['boolean', 'color', 'field-name', 'multi-select', 'number', 'radio', 'select', 'slider', 'stats-picker', 'strings', 'text', 'unit'];

export const register = () => {
  standardFieldConfigEditorRegistry.setInit(() => STANDARD);
  standardEditorsRegistry.setInit(() => EDITORS.map((id) => ({ id, name: id, editor: nothing })));
};

export const lineConfig = () => ({
  standardOptions: { color: { settings: { byValueSupport: true, bySeriesSupport: true }, defaultValue: { mode: 'palette-classic' } } },
  useCustomConfig: (builder) => {
    for (const [id, value] of Object.entries(LINES)) {
      builder.addCustomEditor(setting(id, identityOverrideProcessor, value));
    }
    commonOptionsBuilder.addStackingConfig(builder, { mode: 'none', group: 'A' });
    commonOptionsBuilder.addAxisConfig(builder, { axisGridShow: true, axisCenteredZero: false, axisBorderShow: false });
    commonOptionsBuilder.addHideFrom(builder);
  },
});
