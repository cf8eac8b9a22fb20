/** What a GPU's driver said of it around a measurement: clocks, power, heat, and what slowed it down. */
import { z } from "zod";

/** What the driver may lower clocks for; being idle and settings that somebody chose are not among them. */
const THROTTLE_REASONS = [
  "power cap",
  "hardware slowdown",
  "thermal slowdown",
  "hardware thermal slowdown",
  "power brake",
] as const;
export type ThrottleReason = (typeof THROTTLE_REASONS)[number];

const Reading = z.number().nonnegative().nullable();

export const GpuReading = z.strictObject({
  sm_clock_mhz: Reading,
  memory_clock_mhz: Reading,
  power_watts: Reading,
  temperature_celsius: Reading,
  throttled_by: z.array(z.enum(THROTTLE_REASONS)).max(THROTTLE_REASONS.length),
});
export type GpuReading = z.infer<typeof GpuReading>;

/** null: the driver does not say. */
export const GpuFacts = z.strictObject({
  driver: z.string().max(80).nullable(),
  memory_bytes: z.int().positive().nullable(),
  max_sm_clock_mhz: Reading,
  power_limit_watts: Reading,
  before: GpuReading.describe("as the measurement began"),
  after: GpuReading.describe("as it ended"),
});
export type GpuFacts = z.infer<typeof GpuFacts>;
