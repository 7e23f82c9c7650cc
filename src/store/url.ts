/**
 * What a store's URL says, parsed once: `s3://bucket/prefix?endpoint=…`, `file:///path`, or a path. It never holds a
 * secret, so it may be printed; one that does is refused, and not repeated in the refusal.
 */
import { ZferryError } from "../errors.ts";
import type { Environment } from "./credentials.ts";
import type { Provider } from "./providers.ts";
import { isProviderName, providerNamed, providerNames, providerOf } from "./providers.ts";

export interface DirectoryLocation {
  readonly kind: "directory";
  readonly path: string;
}

export interface S3Location {
  readonly kind: "s3";
  readonly bucket: string;
  /** Empty, or ends with a slash. */
  readonly base: string;
  /** Null for AWS's own. */
  readonly endpoint: URL | null;
  readonly provider: Provider;
  /** Null leaves it to the SDK. */
  readonly region: string | null;
  readonly pathStyle: boolean;
  readonly profile: string | null;
  /** PEM file of a private certificate authority. */
  readonly caFile: string | null;
}

export type StoreLocation = DirectoryLocation | S3Location;

const parameterNames = ["endpoint", "region", "provider", "path_style", "profile", "ca"] as const;

const knownForms = "write s3://bucket/prefix, file:///path, /path or ./path";

/** @throws ZferryError `usage` for anything that is none of the known forms */
export function parseStoreUrl(text: string, environment: Environment): StoreLocation {
  if (/^\.{0,2}(\/|$)/.test(text) && text !== "") return { kind: "directory", path: text };
  const url = parseUrl(text);
  if (url.username !== "" || url.password !== "") refuseSecret();
  if (url.protocol === "s3:") return s3Location(url, environment);
  if (url.protocol === "file:" && url.host === "" && url.search === "") {
    return { kind: "directory", path: decode(url.pathname) };
  }
  throw new ZferryError("usage", `there is no kind of store "${url.protocol.slice(0, -1)}" in that form`, {
    hint: knownForms,
  });
}

/** What an S3 store is called in messages and in the state file: without what only says how it is reached. */
export function s3UrlOf({ bucket, base, endpoint }: Pick<S3Location, "bucket" | "base" | "endpoint">): string {
  return `s3://${bucket}/${base}${endpoint === null ? "" : `?endpoint=${endpoint.origin}`}`;
}

/** The URL of a folder right below a store's, with its parameters. */
export function urlBelow(text: string, folder: string): string {
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const [place = "", parameters] = isUrl ? text.split("?", 2) : [text];
  const below = `${place.replace(/\/+$/, "")}/${isUrl ? encodeURIComponent(folder) : folder}`;
  return parameters === undefined ? below : `${below}?${parameters}`;
}

function parseUrl(text: string): URL {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? tryUrl(text) : null;
  if (url !== null) return url;
  const shown = /[@?]/.test(text) ? "that" : `"${text}"`;
  throw new ZferryError("usage", `${shown} is not the URL of a store`, { hint: knownForms });
}

function tryUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

function refuseSecret(): never {
  throw new ZferryError("usage", "the URL of a store must not hold credentials", {
    hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with ?profile=",
  });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new ZferryError("usage", `cannot read the percent-encoding of "${text}"`, { cause: error });
  }
}

function s3Location(url: URL, environment: Environment): S3Location {
  if (url.hash !== "") throw new ZferryError("usage", "the URL of a store has no #fragment", { hint: knownForms });
  const parameters = parametersOf(url);
  const { hostname: bucket } = url;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket) || url.port !== "") {
    throw new ZferryError("usage", `"${bucket}" is not the name of a bucket`, { hint: knownForms });
  }
  const prefix = decode(url.pathname).replace(/^\/+|\/+$/g, "");
  const endpoint = endpointOf(parameters.get("endpoint") ?? environment.AWS_ENDPOINT_URL_S3 ?? null);
  const provider = providerFrom(parameters.get("provider") ?? null, endpoint);
  return {
    kind: "s3",
    bucket,
    base: prefix === "" ? "" : `${prefix}/`,
    endpoint,
    provider,
    region: parameters.get("region") ?? regionOf(provider, endpoint, environment),
    pathStyle: pathStyleFrom(parameters.get("path_style") ?? null, provider),
    profile: parameters.get("profile") ?? null,
    caFile: parameters.get("ca") ?? null,
  };
}

function parametersOf(url: URL): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (!(parameterNames as readonly string[]).includes(name)) {
      throw new ZferryError("usage", `the URL of a store has no parameter "${name}"`, {
        hint: `known are ${parameterNames.join(", ")}`,
      });
    }
    if (value === "" || parameters.has(name)) {
      throw new ZferryError("usage", `the parameter "${name}" needs exactly one value`);
    }
    parameters.set(name, value);
  }
  return parameters;
}

function endpointOf(text: string | null): URL | null {
  if (text === null) return null;
  const url = tryUrl(text);
  if (url !== null && (url.username !== "" || url.password !== "")) refuseSecret();
  if (url !== null && ["http:", "https:"].includes(url.protocol) && url.search === "") return url;
  throw new ZferryError("usage", `"${text.replace(/[?@].*$/s, "…")}" is not an endpoint`, {
    hint: "write it as in endpoint=https://host:port",
  });
}

function providerFrom(name: string | null, endpoint: URL | null): Provider {
  if (name === null) return providerOf(endpoint);
  if (isProviderName(name)) return providerNamed(name);
  throw new ZferryError("usage", `there is no provider "${name}"`, { hint: `known are ${providerNames.join(", ")}` });
}

/** B2, Wasabi and AWS name it in the host (`s3.REGION.…`); the environment speaks of AWS only. */
function regionOf(provider: Provider, endpoint: URL | null, environment: Environment): string | null {
  const fromHost = /^s3[.-]([a-z]+-[a-z0-9-]+)\./.exec(endpoint?.hostname ?? "")?.[1];
  if (fromHost !== undefined) return fromHost;
  if (provider.name !== "aws") return provider.region;
  return environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION ?? null;
}

function pathStyleFrom(text: string | null, provider: Provider): boolean {
  if (text === null) return provider.pathStyle;
  if (text === "true" || text === "false") return text === "true";
  throw new ZferryError("usage", `path_style is true or false, not "${text}"`);
}
