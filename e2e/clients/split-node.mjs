// Evaluates flags and tracks events with Split's SDK for Node, and prints the
// answers. It lives on until its input ends.
// Options: package, host, sdkKey, mode, script, scheduler.
import { createRequire } from 'node:module'
import { ended, options } from './options.mjs'
import { ready, run, urls } from './split-script.js'

const { package: name, host, sdkKey, mode, script, scheduler } = options
const { SplitFactory } = createRequire(import.meta.url)(name)

const factory = SplitFactory({
  core: { authorizationKey: sdkKey }, urls: urls(host), scheduler,
  sync: { impressionsMode: mode }, startup: { readyTimeout: 15 }, debug: process.env.SPLIT_DEBUG ? 'DEBUG' : 'ERROR',
})
const client = factory.client()
await ready(client)
const answers = await run(script,
  (key, flag, options) => client.getTreatmentWithConfig(key, flag, undefined, options),
  (...event) => client.track(...event))
console.log(JSON.stringify(answers))
await ended
await client.destroy()
