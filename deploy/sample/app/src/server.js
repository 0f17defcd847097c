// Runs the service until it is told to stop.
import { serve } from "./service.js";

const { port, close } = await serve(Number(process.env.PORT ?? 8080), "0.0.0.0");
console.log(`the library answers on port ${port}`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => close());
