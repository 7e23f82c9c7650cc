/**
 * From a plot to SVG that stands in a page: drawn without a browser, on a document of xmldom's, and without styles of its
 * own, which the page's Content-Security-Policy would refuse (`docs/adr/0013-report.md`).
 */
import { DOMImplementation, type Element, type Node, XMLSerializer } from "@xmldom/xmldom";
import { plot, type PlotOptions } from "@observablehq/plot";
import { visible } from "../visible.ts";
import { type Html, markup } from "./html.ts";

/** Attributes whose numbers have more digits than anybody can see. */
const measured = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "transform", "width", "height"] as const;

/** Names for the marks' groups: the plot as a whole has a name, and a table beside it. */
const silent = ["aria-label", "aria-hidden", "aria-description"] as const;

const document = new DOMImplementation().createDocument("http://www.w3.org/2000/svg", "svg");

/** @param label - what a screen reader says in its place, with the numbers that count */
export function drawn(options: PlotOptions, label: string): Html {
  const svg = plot(Object.assign({}, options, { document, className: "plot" })) as unknown as Element;
  tidy(svg);
  for (const name of ["font-family", "font-size"]) svg.removeAttribute(name); // the page's
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", visible(label));
  return markup(new XMLSerializer().serializeToString(svg));
}

function tidy(element: Element): void {
  for (const name of silent) element.removeAttribute(name);
  for (const name of measured) {
    const value = element.getAttribute(name);
    if (value !== null) element.setAttribute(name, value.replaceAll(/-?\d+\.\d+/g, (number) => String(Number(Number(number).toFixed(1)))));
  }
  for (const child of Array.from(element.childNodes)) {
    if (child.nodeType === child.TEXT_NODE) child.nodeValue = visible(child.nodeValue ?? "");
    if (!isElement(child)) continue;
    if (child.localName === "style") element.removeChild(child);
    else tidy(child);
  }
}

function isElement(node: Node): node is Element {
  return node.nodeType === node.ELEMENT_NODE;
}
