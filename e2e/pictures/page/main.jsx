// One row of the dashboard, drawn by Grafana's own components from window.shown (e2e/pictures/asked.py makes it).

import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import { createTheme, dateTime, ThemeContext } from '@grafana/data';
import { GlobalStyles, Icon } from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';
import angleDown from '../node_modules/@grafana/ui/dist/public/img/icons/unicons/angle-down.svg';
import infoCircle from '../node_modules/@grafana/ui/dist/public/img/icons/unicons/info-circle.svg';
import { Panel } from './panels.jsx';

// Icons are fetched, and a file may fetch nothing.
const ICONS = { 'angle-down': angleDown, 'info-circle': infoCircle };
window.fetch = async (url) =>
  new Response(ICONS[/([\w-]+)\.svg$/.exec(url)[1]], { headers: { 'Content-Type': 'image/svg+xml' } });

const { title, variables, panels, begin, end, dark, height } = window.shown;
const theme = createTheme({ colors: { mode: dark ? 'dark' : 'light' } });
const from = dateTime(begin);
const to = dateTime(end);
const timeRange = { from, to, raw: { from, to } };

const Variables = () => (
  <div style={{ display: 'flex', gap: 8, padding: 8 }}>
    {variables.map(({ label, text }) => (
      <div key={label} style={{ display: 'flex', height: 32, lineHeight: '30px', fontSize: 12 }}>
        <span style={{ ...box(), color: theme.colors.text.primary, fontWeight: 500 }}>{label}</span>
        <span style={{ ...box(), background: theme.components.input.background, color: theme.components.input.text }}>{text}</span>
      </div>
    ))}
  </div>
);

const box = () => ({
  border: `1px solid ${theme.components.input.borderColor}`,
  background: theme.colors.background.secondary,
  padding: '0 8px',
});

const Row = () => (
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <Variables />
    <h6 style={{ margin: '4px 8px 12px', fontSize: theme.typography.h5.fontSize, fontWeight: 500 }}>
      <Icon name="angle-down" /> {title}
    </h6>
    <div style={{ position: 'relative', height, margin: '0 8px' }}>
      {panels.map(({ panel, frames, place }) => (
        <div key={panel.id} style={{ position: 'absolute', ...place }}>
          <Panel panel={panel} frames={frames} place={place} theme={theme} timeRange={timeRange} />
        </div>
      ))}
    </div>
  </ThemeContext.Provider>
);

document.body.style.margin = 0;
document.body.style.background = theme.colors.background.canvas;
// Charts measure their text: the font must be there first.
Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 12px Inter`))).then(() =>
  createRoot(document.getElementById('page')).render(<Row />),
);
