// A long text on its way from the worker to the popup. What browsers do with a message takes time for every character;
// packed, a list of tenants has a twentieth of them.
const through = (bytes, stream) => new Response(new Response(bytes).body.pipeThrough(stream));

export async function pack(text) {
  const packed = new Uint8Array(await through(text, new CompressionStream('gzip')).arrayBuffer());
  let characters = '';
  for (const byte of packed) characters += String.fromCharCode(byte);
  return btoa(characters);
}

export function unpack(packed) {
  const characters = atob(packed);
  const bytes = new Uint8Array(characters.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = characters.charCodeAt(place);
  return through(bytes, new DecompressionStream('gzip')).text();
}
