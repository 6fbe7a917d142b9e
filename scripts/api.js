// Writes docs/api.md from the docstrings of the compiled package, or compares it with them: `node scripts/api.js --check`.
// A public name without a docstring is an error.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
// TypeScript 7 has no API for programs yet.
import ts from 'typescript-api'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'docs/api.md')
const entries = [
  ['fastify-subprocess-guard', 'dist/index.d.ts'],
  ['fastify-subprocess-guard/express', 'dist/adapters/express.d.ts']
]

// What readers look for comes first, the rest in the order of the entry.
const first = [
  'default',
  'SubprocessGuardOptions',
  'RouteGuardOptions',
  'Scope',
  'Subprocess',
  'CommandStream',
  'Guard'
]
const rankOf = (name) => (first.includes(name) ? first.indexOf(name) : first.length)

const undocumented = []
const exportedNames = new Set(
  entries.flatMap(([, file]) => exportsOf(join(root, file)).map(([name]) => name))
)
const lines = [
  '# API',
  '',
  'Made from the docstrings by `npm run api`; a test compares the two. Times are in milliseconds, sizes in bytes.'
]
for (const [name, file] of entries) {
  lines.push('', `## ${name}`)
  const found = exportsOf(join(root, file)).sort(([one], [other]) => rankOf(one) - rankOf(other))
  for (const [exported, declarations, source] of found) describe(exported, declarations, source)
}
if (undocumented.length > 0) fail(`no docstring: ${undocumented.join(', ')}`)

const text = `${lines.join('\n')}\n`
if (!process.argv.includes('--check')) writeFileSync(target, text)
else if (readFileSync(target, 'utf8') !== text)
  fail('docs/api.md is not what the docstrings say: run `npm run api`')

function fail(message) {
  console.error(message)
  process.exit(1)
}

/** Every exported name with its declarations, in the order of the entry. */
function exportsOf(file) {
  const source = parse(file)
  const found = []
  for (const statement of source.statements) {
    if (ts.isExportDeclaration(statement)) {
      const from = join(dirname(file), statement.moduleSpecifier.text.replace(/\.js$/, '.d.ts'))
      for (const { name, propertyName } of statement.exportClause.elements) {
        found.push([name.text, ...declarationsOf(from, (propertyName ?? name).text)])
      }
    } else if (ts.isModuleDeclaration(statement)) {
      found.push(['Added to the framework', [statement], source])
    } else if (isExported(statement) && statement.name !== undefined) {
      if (!found.some(([name]) => name === statement.name.text)) {
        found.push([statement.name.text, ...declarationsOf(file, statement.name.text)])
      }
    }
  }
  return found
}

function declarationsOf(file, name) {
  const source = parse(file)
  if (name === 'default') {
    const augmentations = source.statements.filter(ts.isModuleDeclaration)
    return [augmentations, source]
  }
  const declarations = source.statements.filter(
    (statement) =>
      statement.name?.text === name ||
      (ts.isVariableStatement(statement) &&
        statement.declarationList.declarations.some((one) => one.name.text === name))
  )
  return [declarations, source]
}

function parse(file) {
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
}

function isExported(statement) {
  return statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true
}

function describe(name, declarations, source) {
  lines.push('', `### ${name === 'default' ? 'The Fastify plugin (default export)' : name}`)
  for (const declaration of declarations) {
    if (ts.isModuleDeclaration(declaration)) {
      for (const added of interfacesIn(declaration)) {
        lines.push('', `Added to \`${added.name.text}\`:`)
        describeMembers(added.name.text, added.members, source)
      }
      continue
    }
    const isType = ts.isInterfaceDeclaration(declaration) || ts.isClassDeclaration(declaration)
    lines.push('', '```ts', isType ? headOf(declaration, source) : signatureOf(declaration, source), '```')
    const doc = docOf(declaration)
    if (doc === '') undocumented.push(name)
    else lines.push('', doc)
    if (!isType) continue
    describeMembers(name, declaration.members, source)
    for (const [base, from] of basesOf(declaration, source)) describeMembers(name, base.members, from)
  }
}

function describeMembers(owner, members, source) {
  const groups = []
  for (const member of members) {
    const own = member.name?.getText(source) ?? signatureOf(member, source)
    // What begins with an underscore is for Node's streams.
    if (own === '#private' || own.startsWith('_') || isHidden(member)) continue
    const last = groups.at(-1)
    // Overloads belong together.
    if (last?.own === own) last.members.push(member)
    else groups.push({ own, members: [member] })
  }
  for (const { own, members } of groups) {
    const doc = members.map(docOf).find((text) => text !== '') ?? ''
    if (doc === '' && !isPlain(members[0])) undocumented.push(`${owner}.${own}`)
    lines.push('', '```ts', ...members.map((member) => signatureOf(member, source)), '```')
    if (doc !== '') lines.push('', doc)
  }
}

/** The classes that it extends and that have no entry of their own. */
function basesOf(declaration, source) {
  const found = []
  for (const { types } of declaration.heritageClauses ?? []) {
    for (const { expression } of types) {
      const base = expression.getText(source)
      const imported = source.statements.find(
        (statement) =>
          ts.isImportDeclaration(statement) &&
          statement.moduleSpecifier.text.startsWith('.') &&
          statement.importClause?.namedBindings?.elements?.some(({ name }) => name.text === base)
      )
      if (imported === undefined || exportedNames.has(base)) continue
      const file = join(dirname(source.fileName), imported.moduleSpecifier.text.replace(/\.js$/, '.d.ts'))
      const [declarations, from] = declarationsOf(file, base)
      for (const one of declarations) found.push([one, from])
    }
  }
  return found
}

/** A field that says all by its name and type. */
function isPlain(member) {
  return ts.isPropertySignature(member)
}

function isHidden(member) {
  const hiding = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword]
  const isClosed = member.modifiers?.some(({ kind }) => hiding.includes(kind)) === true
  return isClosed || ts.getJSDocTags(member).some(({ tagName }) => tagName.text === 'internal')
}

/** The interfaces that `declare module 'fastify'` and `declare global` add to. */
function interfacesIn(declaration) {
  const found = []
  const visit = (node) => {
    if (ts.isInterfaceDeclaration(node)) found.push(node)
    else ts.forEachChild(node, visit)
  }
  visit(declaration.body)
  return found
}

function headOf(declaration, source) {
  return signatureOf(declaration, source).replace(/\s*\{\n.*$/s, '')
}

function signatureOf(node, source) {
  return node
    .getText(source)
    .replace(/^export (declare )?(default )?/, '')
    .replace(/;$/, '')
    .replace(/^ {4}/gm, '  ')
}

/** The docstring as Markdown. */
function docOf(node) {
  const doc = node.jsDoc?.at(-1)
  if (doc === undefined) return ''
  const parts = [ts.getTextOfJSDocComment(doc.comment) ?? '']
  const items = (doc.tags ?? []).map((tag) => {
    const body = ts.getTextOfJSDocComment(tag.comment) ?? ''
    const type = tag.typeExpression === undefined ? '' : ` \`${tag.typeExpression.type.getText()}\``
    const name = tag.name === undefined ? '' : ` \`${tag.name.getText()}\``
    const title = tag.tagName.text === 'throws' ? 'Throws' : `\`${tag.tagName.text}\``
    return `- ${title}${type}${name} ${oneLine(body)}`.trimEnd()
  })
  if (items.length > 0) parts.push(items.join('\n'))
  return parts.filter((part) => part !== '').join('\n\n')
}

function oneLine(text) {
  return text.replace(/\s*\n\s*/g, ' ')
}
