/** Links between pages, and whether they lead anywhere in a folder: the project, or what is installed of it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

/** As GitHub makes it of a heading. */
const anchorOf = (heading: string): string => heading.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-");

const withoutBlocks = (text: string): string => text.replaceAll(/^ *```.*?^ *```$/gms, "");

function anchorsIn(file: string): readonly string[] {
  return [...withoutBlocks(readFileSync(file, "utf8")).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading));
}

/** Every relative link in the pages of the folder that leads to no file, or to no heading of it, as `PAGE: LINK`. */
export function deadLinks(folder: string): readonly string[] {
  const below = readdirSync(join(folder, "docs"), { recursive: true, encoding: "utf8" }).map((name) => `docs/${name}`);
  const pages = ["README.md", "CHANGELOG.md", ...below].filter((name) => name.endsWith(".md"));
  return pages.flatMap((page) => {
    const links = [...withoutBlocks(readFileSync(join(folder, page), "utf8")).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
    return links.filter((link) => !/^https?:/.test(link) && isDead(folder, page, link)).map((link) => `${page}: ${link}`);
  });
}

function isDead(folder: string, page: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? page : posix.join(posix.dirname(page), path);
  if (target.startsWith("..") || !existsSync(join(folder, target))) return true;
  return anchor !== undefined && !anchorsIn(join(folder, target)).includes(anchor);
}
