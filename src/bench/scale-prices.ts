/**
 * What providers ask for, as data with date and source. Prices change: whoever plans with them checks them, and whoever
 * changes them here changes the date, runs `test/scale.test.ts` and puts what it prints into `docs/scale.md`. R2's were read
 * in Cloudflare's documentation, the others' as public documents of 2026 quote the pages named here.
 *
 * US dollars without tax, without free allowances for small accounts, of the cheapest US region where there are regions.
 */
import type { ProviderName } from "../store/providers.ts";

export const pricesReadOn = "2026-11-21";
export const priceWarning = `list prices of ${pricesReadOn}; check them`;

/** A price per GB up to a number of GB, and another one from there on. */
export interface Tier {
  readonly upToGb: number;
  readonly usdPerGb: number;
}

export interface PriceList {
  readonly name: string;
  /** Whose limits hold (`store/providers.ts`). */
  readonly provider: ProviderName;
  readonly source: string;
  /** What "GB" means on the bill: AWS counts 2³⁰ bytes (S3 FAQ, billing examples); the others' pages leave it at GB, taken as 10⁹. */
  readonly gbBytes: number;
  /** For a month. */
  readonly storage: readonly Tier[];
  /** Writing and listing requests: PutObject, and Create, UploadPart and Complete of a multipart upload. */
  readonly classAUsdPerMillion: number;
  /** Reading requests: GetObject, HeadObject. */
  readonly classBUsdPerMillion: number;
  /** Moving one object into the class by a lifecycle rule; zferry itself writes the standard class. */
  readonly transitionUsdPerMillion: number;
  readonly retrievalUsdPerGb: number;
  /** To the internet, in one month. */
  readonly egress: readonly Tier[];
  /** Egress free of charge, in multiples of what is stored. */
  readonly freeEgressTimes: number;
  /** What is removed earlier is paid for as long. */
  readonly minDays: number;
}

const always = Number.POSITIVE_INFINITY;
const flat = (usdPerGb: number): readonly Tier[] => [{ upToGb: always, usdPerGb }];

/** First 10 TB, next 40, next 100, above 150; a TB is 1,024 GB there. */
const awsEgress: readonly Tier[] = [
  { upToGb: 10 * 1024, usdPerGb: 0.09 },
  { upToGb: 50 * 1024, usdPerGb: 0.085 },
  { upToGb: 150 * 1024, usdPerGb: 0.07 },
  { upToGb: always, usdPerGb: 0.05 },
];

const s3Standard: PriceList = {
  name: "S3 Standard",
  provider: "aws",
  source: "https://aws.amazon.com/s3/pricing/",
  gbBytes: 2 ** 30,
  storage: [
    { upToGb: 50 * 1024, usdPerGb: 0.023 },
    { upToGb: 500 * 1024, usdPerGb: 0.022 },
    { upToGb: always, usdPerGb: 0.021 },
  ],
  classAUsdPerMillion: 5,
  classBUsdPerMillion: 0.4,
  transitionUsdPerMillion: 0,
  retrievalUsdPerGb: 0,
  egress: awsEgress,
  freeEgressTimes: 0,
  minDays: 0,
};

/** In the order they are shown. */
export const priceLists: readonly PriceList[] = [
  {
    name: "R2",
    provider: "r2",
    source: "https://developers.cloudflare.com/r2/pricing/",
    gbBytes: 1e9,
    storage: flat(0.015),
    classAUsdPerMillion: 4.5,
    classBUsdPerMillion: 0.36,
    transitionUsdPerMillion: 0,
    retrievalUsdPerGb: 0,
    egress: flat(0),
    freeEgressTimes: 0,
    minDays: 0,
  },
  s3Standard,
  {
    ...s3Standard,
    name: "S3 Glacier IR",
    storage: flat(0.004),
    classBUsdPerMillion: 10,
    transitionUsdPerMillion: 20,
    retrievalUsdPerGb: 0.03,
    minDays: 90,
  },
  // Standard API calls are free since 2026-05-01.
  {
    name: "B2",
    provider: "b2",
    source: "https://www.backblaze.com/cloud-storage/pricing",
    gbBytes: 1e9,
    storage: flat(0.00695),
    classAUsdPerMillion: 0,
    classBUsdPerMillion: 0,
    transitionUsdPerMillion: 0,
    retrievalUsdPerGb: 0,
    egress: flat(0.01),
    freeEgressTimes: 3,
    minDays: 0,
  },
];

/** What so many GB cost. */
export function priceOf(gb: number, tiers: readonly Tier[]): number {
  let [usd, paidGb] = [0, 0];
  for (const { upToGb, usdPerGb } of tiers) {
    const inTier = Math.max(0, Math.min(gb, upToGb) - paidGb);
    usd += inTier * usdPerGb;
    paidGb += inTier;
  }
  return usd;
}
