/** Draws a panel of a result: for each contestant, a dot for the median and a bar between the quartiles. */

import * as Plot from '@observablehq/plot'
import { JSDOM } from 'jsdom'
import { type Contestant, colourOf } from './contestants.js'
import type { Panel } from './result.js'
import { figure } from './table.js'

const width = 760
const rowHeight = 26
const facetGap = 14
// For the title, the axis and its label.
const frameHeight = 84

/** The content of an SVG file. It has a white background, so that it is readable on a dark page. */
export function svgOf(title: string, { quantity, unit, scale, cases, measures }: Panel): string {
  const { document } = new JSDOM('').window
  const names = [...new Set(measures.map(({ contestant }) => contestant))]
  const facets = [...new Set(measures.map((measure) => measure.case))]
  const rows = facets.map((facet) => measures.filter((measure) => measure.case === facet).length)
  const most = Math.max(...rows)
  const longestName = Math.max(...names.map((name) => name.length))
  const facet = cases === '' ? {} : { fy: 'case' }
  const lowest = Math.min(...measures.map(({ q1 }) => q1))
  const greatest = Math.max(...measures.map(({ q3 }) => q3))
  // With room for the figure after the last bar.
  const logDomain = [lowest / 1.5, greatest * Math.max(3, (greatest / lowest) ** 0.18)]
  const domain = scale === 'log' ? logDomain : [0, greatest * 1.15]
  const plot = Plot.plot({
    document,
    width,
    height: frameHeight + facets.length * (most * rowHeight + facetGap),
    marginLeft: 24 + longestName * 7.2,
    marginRight: cases === '' ? 30 : 24 + Math.max(...facets.map((name) => name.length)) * 7.2,
    marginTop: 44,
    marginBottom: 40,
    style: { background: 'white', color: '#222', fontSize: '13px', fontFamily: 'system-ui, sans-serif' },
    x: {
      type: scale,
      domain,
      label: `${quantity} (${unit}${scale === 'log' ? ', logarithmic' : ''}) →`,
      labelAnchor: 'center',
      grid: true,
      ticks: scale === 'log' ? 6 : 8,
      tickFormat: (value: number) => figure(value)
    },
    y: { domain: names, label: null, tickSize: 0 },
    fy: { domain: facets, label: null, padding: 0.12 },
    color: { domain: names, range: names.map((name: Contestant) => colourOf(name)) },
    marks: [
      Plot.frame({ stroke: '#ddd' }),
      Plot.ruleY(measures, {
        ...facet,
        y: 'contestant',
        x1: 'q1',
        x2: 'q3',
        stroke: 'contestant',
        strokeWidth: 7,
        strokeOpacity: 0.35
      }),
      Plot.dot(measures, { ...facet, y: 'contestant', x: 'median', fill: 'contestant', r: 5 }),
      Plot.text(measures, {
        ...facet,
        y: 'contestant',
        x: 'q3',
        text: ({ median }) => figure(median),
        textAnchor: 'start',
        dx: 10,
        fill: '#222'
      })
    ]
  })
  const write = (text: string, y: number, style: string): void => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', 'text')
    element.setAttribute('x', '8')
    element.setAttribute('y', String(y))
    element.setAttribute('style', `${style}; text-anchor: start`)
    element.textContent = text.replaceAll('`', '')
    plot.append(element)
  }
  write(title, 18, 'font-size: 15px; font-weight: 600')
  if (cases !== '') write(`by ${cases}`, 36, 'font-size: 13px')
  plot.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return `${plot.outerHTML}\n`
}
