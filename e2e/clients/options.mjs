// The first line of standard input is the options of a client, as JSON. ended
// settles when there is nothing more to come.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })
export const ended = new Promise((resolve) => lines.once('close', resolve))
export const options = JSON.parse(await new Promise((resolve) => lines.once('line', resolve)))
