/** Starts a Trino whose own main class is not on Maven Central: {@code java -cp 'lib/*' TrinoServer.java}. */
public class TrinoServer
{
    public static void main(String[] arguments)
    {
        new io.trino.server.Server().start("435");
    }
}
