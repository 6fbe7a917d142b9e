/** What limits cost, how soon they take effect, and what a server does under more load than it can serve. */

import { Benchmark } from './harness/benchmark.js'
import { measureAccounting } from './limits/accounting.js'
import { measureLimitToDead } from './limits/limit-to-dead.js'
import { measureOverload } from './limits/overload.js'
import { measureQueue } from './limits/queue.js'
import { measureWatching } from './limits/watching.js'

const benchmark = new Benchmark('limits', 'What limits cost, and what they do.')
await measureAccounting(benchmark)
await measureWatching(benchmark)
await measureLimitToDead(benchmark)
await measureOverload(benchmark)
await measureQueue(benchmark)
benchmark.report()
