// Reads requests as a JSON list from standard input: each with a role's policies, an action, a resource and conditions.
// Writes what IAM would decide, as a JSON list: Allowed, ImplicitlyDenied or ExplicitlyDenied.
import { runSimulation } from '@cloud-copilot/iam-simulate'

const ACCOUNT = '123456789012'
const EVERYTHING = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }

async function decide({ role, policies, action, resource, conditions }) {
  const answer = await runSimulation(
    {
      request: {
        action,
        principal: `arn:aws:iam::${ACCOUNT}:role/${role}`,
        resource: { resource, accountId: ACCOUNT },
        contextVariables: conditions
      },
      identityPolicies: policies.map((policy, place) => ({ name: `policy-${place}`, policy })),
      serviceControlPolicies: [{ orgIdentifier: 'ou-1', policies: [{ name: 'all', policy: EVERYTHING }] }],
      resourceControlPolicies: []
    },
    {}
  )
  if (answer.resultType === 'error') throw new Error(`${action} on ${resource}: ${JSON.stringify(answer.errors)}`)
  return answer.overallResult
}

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const decisions = []
for (const request of JSON.parse(Buffer.concat(chunks))) decisions.push(await decide(request))
process.stdout.write(JSON.stringify(decisions))
