export class Worker {
  constructor(name: string, command: readonly string[], options: unknown);
  ready(): Promise<{ absent?: string; version?: string; ways?: { way: string; precision: string }[] }>;
  ask(request: unknown): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}
